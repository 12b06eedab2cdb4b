//! What the demo generates at its first start and keeps under the data folder, private to the owner: the partners'
//! private keys (`keys/*.p8`) and the sign-ins of its people (`sign-ins.json`). None of it is in the repository.

use crate::auth::keys::{self, KeyPair};
use crate::auth::password;
use crate::error::{Error, Result};
use crate::store::private_folder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A sign-in of the demo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignIn {
    /// Who it is, in words.
    pub who: String,
    /// The password in clear; the demo's people are nobody.
    pub password: String,
}

/// The demo's people by sign-in name.
pub type SignIns = BTreeMap<String, SignIn>;

/// The key of a partner, made at the first call.
pub fn partner_key(data: &Path, client_id: &str) -> Result<KeyPair> {
    let folder = data.join("keys");
    let path = folder.join(format!("{client_id}.p8"));
    if let Ok(kept) = std::fs::read(&path) {
        return keys::from_pkcs8(client_id, kept);
    }
    private_folder(&folder)?;
    let made = keys::new_es384(client_id)?;
    write_private(&path, &made.pkcs8)?;
    Ok(made)
}

/// The sign-ins, made at the first call for the names given.
pub fn sign_ins(data: &Path, people: &[(&str, &str)]) -> Result<SignIns> {
    let path = data.join("sign-ins.json");
    let mut all = read_sign_ins(data).unwrap_or_default();
    let before = all.len();
    for (username, who) in people {
        all.entry((*username).to_owned()).or_insert_with(|| SignIn {
            who: (*who).to_owned(),
            password: password::generate(),
        });
    }
    if all.len() != before {
        private_folder(data)?;
        let text = serde_json::to_string_pretty(&all).map_err(Error::internal)?;
        write_private(&path, text.as_bytes())?;
    }
    Ok(all)
}

/// The sign-ins that an earlier start made.
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
