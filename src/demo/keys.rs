//! Secrets that the demo generates at its first start and keeps in the data folder, readable only by the owner: the
//! clients' private keys (`keys/*.p8`) and the sign-ins (`sign-ins.json`). None of them is in the repository.

use crate::auth::keys::{self, KeyPair};
use crate::auth::password;
use crate::error::{Error, Result};
use crate::store::create_private_folder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A sign-in of the demo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignIn {
    /// The person's name and role.
    pub who: String,
    /// The password in plain text; everybody in the demo is synthetic.
    pub password: String,
}

/// The demo's sign-ins by username.
pub type SignIns = BTreeMap<String, SignIn>;

/// The key pair of a client, generated at the first call.
pub fn client_key(data: &Path, client_id: &str) -> Result<KeyPair> {
    let folder = data.join("keys");
    let path = folder.join(format!("{client_id}.p8"));
    if let Ok(pkcs8) = std::fs::read(&path) {
        return keys::from_pkcs8(client_id, pkcs8);
    }
    create_private_folder(&folder)?;
    let key = keys::new_es384(client_id)?;
    write_private(&path, &key.pkcs8)?;
    Ok(key)
}

/// The sign-ins for the given (username, name and role) pairs; those that are missing are generated.
pub fn sign_ins(data: &Path, people: &[(&str, &str)]) -> Result<SignIns> {
    let path = data.join("sign-ins.json");
    let mut all = read_sign_ins(data).unwrap_or_default();
    let known = all.len();
    for (username, who) in people {
        all.entry((*username).to_owned()).or_insert_with(|| SignIn {
            who: (*who).to_owned(),
            password: password::generate(),
        });
    }
    if all.len() != known {
        create_private_folder(data)?;
        let text = serde_json::to_string_pretty(&all).map_err(Error::internal)?;
        write_private(&path, text.as_bytes())?;
    }
    Ok(all)
}

/// The sign-ins that an earlier start generated; `None` when there are none.
pub fn read_sign_ins(data: &Path) -> Option<SignIns> {
    let text = std::fs::read_to_string(data.join("sign-ins.json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|e| Error::unavailable(format!("{}: {e}", path.display())))
}
