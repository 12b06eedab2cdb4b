//! What `serve` and `demo` do before they create anything: check the folders and addresses of the settings, and listen.
//! Each error says what is wrong, where it was set, and what to do.

use crate::app::App;
use crate::clock::Clock;
use crate::config::{self, Config, Database, MailTransport, folder_of};
use crate::error::{Error, Result};
use crate::mail::Mailer;
use crate::publication::{self, StartFrom};
use std::io::ErrorKind as Io;
use std::path::Path;
use tokio::net::TcpListener;

/// Checks what the settings name and listens on the configured address. Creates nothing.
pub async fn listen(config: &Config) -> Result<TcpListener> {
    check_folders(config)?;
    check_mail(config)?;
    TcpListener::bind(config.listen)
        .await
        .map_err(|e| cannot_listen(config, &e))
}

/// Opens the database and loads the policy set to start with. The folders are loaded before a database is created.
pub async fn build(config: Config, start_from: StartFrom) -> Result<App> {
    let clock = Clock::System;
    if start_from == StartFrom::Folders || !database_may_exist(&config) {
        let policy_set = publication::load_folders(&config, &clock).await?;
        App::build_with(config, clock, policy_set).await
    } else {
        App::build_starting_from(config, clock, start_from).await
    }
}

/// Where the policies and forms are read from when they are published.
pub fn sources(config: &Config) -> [(&'static str, String); 2] {
    let place = |folder: Option<&Path>| match folder {
        Some(folder) => folder.display().to_string(),
        None => "compiled into assent".to_owned(),
    };
    [
        ("policies", place(config.rules_folder())),
        ("forms", place(config.forms_folder())),
    ]
}

/// Whether anything can have been published: an SQLite file that does not exist is new.
fn database_may_exist(config: &Config) -> bool {
    match config.database() {
        Ok(Database::Sqlite(file)) => file.exists(),
        _ => true,
    }
}

/// An error about one setting: what is wrong, where it was set, what to do.
fn about(config: &Config, setting: &str, problem: &str, remedy: &str) -> Error {
    let place = config.where_set(setting);
    Error::malformed(format!("{problem} {place} {remedy}").trim_end())
}

fn check_folders(config: &Config) -> Result<()> {
    for (setting, folder) in [("rules", config.rules_folder()), ("forms", config.forms_folder())] {
        let Some(folder) = folder else { continue };
        if let Err(e) = std::fs::read_dir(folder) {
            let problem = format!("The folder {} cannot be read: {e}.", folder.display());
            let remedy = "Create the folder, or remove the setting to use what is compiled into assent.";
            return Err(about(config, setting, &problem, remedy));
        }
    }
    if config.mail.transport == MailTransport::File {
        let data = &config.data;
        if data.is_file() {
            let problem = format!("{} is not a folder.", data.display());
            return Err(about(config, "data", &problem, "Name a folder."));
        }
        check_writable(config, "data", data)?;
    }
    if let Database::Sqlite(file) = config.database()? {
        if file.is_dir() {
            let problem = format!("{} is a folder, not a database.", file.display());
            return Err(about(config, "database", &problem, "Name a file."));
        }
        check_writable(config, "database", &file)?;
    }
    Ok(())
}

/// Checks that a file or folder can be written, or created where it does not exist.
fn check_writable(config: &Config, setting: &str, path: &Path) -> Result<()> {
    write_problem(path).map_or(Ok(()), |problem| {
        let remedy = "Choose a folder that the user of this process may write.";
        Err(about(config, setting, &problem, remedy))
    })
}

/// Why a path cannot be written. For one that does not exist, the nearest folder above it counts.
fn write_problem(path: &Path) -> Option<String> {
    let mut nearest = path.to_owned();
    loop {
        match std::fs::metadata(&nearest) {
            Ok(found) if !found.is_dir() && nearest != path => {
                let (path, file) = (path.display(), nearest.display());
                return Some(format!("{path} cannot be created: {file} is not a folder."));
            }
            Ok(_) => break,
            Err(e) if matches!(e.kind(), Io::NotFound | Io::NotADirectory) => {
                nearest = folder_of(&nearest).to_owned();
            }
            Err(e) => return Some(format!("{} cannot be read: {e}.", nearest.display())),
        }
    }
    let reason = not_writable(&nearest)?;
    let verb = if nearest == path { "written" } else { "created" };
    Some(format!("{} cannot be {verb}: {reason}.", path.display()))
}

/// Why an existing file or folder cannot be written by this process.
#[cfg(unix)]
fn not_writable(path: &Path) -> Option<std::io::Error> {
    use rustix::fs::{Access, access};
    let wanted = if path.is_dir() {
        Access::WRITE_OK | Access::EXEC_OK
    } else {
        Access::READ_OK | Access::WRITE_OK
    };
    access(path, wanted).err().map(Into::into)
}

/// On other systems the first write shows it.
#[cfg(not(unix))]
fn not_writable(_: &Path) -> Option<std::io::Error> {
    None
}

/// Checks the sender and the relay. The mailer of the server is made later, with its folder.
fn check_mail(config: &Config) -> Result<()> {
    let transport = match config.mail.transport {
        MailTransport::Smtp => MailTransport::Smtp,
        MailTransport::File | MailTransport::Memory => MailTransport::Memory,
    };
    let mail = config::Mail {
        transport,
        ..config.mail.clone()
    };
    crate::app::install_crypto();
    Mailer::new(&mail, &config.payer, &config.data)
        .map(drop)
        .map_err(|error| {
            let setting = if error.message().starts_with("mail.url") {
                "mail.url"
            } else {
                "mail.from"
            };
            about(config, setting, &format!("{}.", error.message()), "")
        })
}

fn cannot_listen(config: &Config, e: &std::io::Error) -> Error {
    let address = config.listen;
    let (problem, remedy) = match e.kind() {
        Io::AddrInUse => (
            format!("The address {address} is in use by another program, perhaps another server of assent."),
            "Stop that program, or choose another port.",
        ),
        Io::PermissionDenied => (
            format!("This user may not listen on {address}: {e}."),
            "Choose a port above 1023, or let the proxy listen on the lower port.",
        ),
        Io::AddrNotAvailable => (
            format!("This machine does not have the address {address}."),
            "Use an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them.",
        ),
        _ => (
            format!("The server cannot listen on {address}: {e}."),
            "Choose another address.",
        ),
    };
    about(config, "listen", &problem, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_file_or_in_a_missing_folder_is_judged_by_the_nearest_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(write_problem(&folder.path().join("a/b/c")), None);
        assert_eq!(write_problem(&file), None);
        let below = file.join("a/b");
        let problem = write_problem(&below).unwrap();
        assert!(problem.ends_with("file is not a folder."), "{problem}");
        assert!(!folder.path().join("a").exists(), "the check creates nothing");
    }
}
