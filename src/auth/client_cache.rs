//! Registration documents as they were parsed last. The client is read from the database at each call (decision 0001);
//! only the parsed form of an unchanged document is used again.

use super::client::Client;
use crate::error::{Error, Result};
use crate::store::callers::StoredClient;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// How many clients are kept. A plan has a few hundred.
const MOST: usize = 1024;

/// Parsed clients by row, each with the text of its document.
#[derive(Debug, Default)]
pub struct ClientCache(Mutex<HashMap<Uuid, (String, Arc<Client>)>>);

impl ClientCache {
    /// The client of a row that was read from the database just now.
    pub fn client(&self, row: StoredClient) -> Result<Arc<Client>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((doc, client)) = known.get(&row.id)
            && (doc, &client.client_id, &client.name) == (&row.doc, &row.client_id, &row.name)
        {
            return Ok(client.clone());
        }
        let doc = serde_json::from_str(&row.doc)
            .map_err(|e| Error::internal(format!("client.doc of row {}: {e}", row.id)))?;
        let client = Arc::new(Client {
            id: row.id,
            client_id: row.client_id,
            name: row.name,
            disabled: false,
            doc,
        });
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(row.id, (row.doc, client.clone()));
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u128, name: &str, doc: &str) -> StoredClient {
        StoredClient {
            id: Uuid::from_u128(id),
            client_id: "ehr".to_owned(),
            name: name.to_owned(),
            doc: doc.to_owned(),
        }
    }

    #[test]
    fn a_document_is_parsed_again_when_the_row_has_changed() {
        let cache = ClientCache::default();
        let first = cache.client(row(1, "EHR", r#"{"npis":["1"]}"#)).unwrap();
        let same = cache.client(row(1, "EHR", r#"{"npis":["1"]}"#)).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        let renamed = cache.client(row(1, "Another EHR", r#"{"npis":["1"]}"#)).unwrap();
        assert_eq!(renamed.name, "Another EHR");
        let changed = cache.client(row(1, "EHR", r#"{"npis":["2"]}"#)).unwrap();
        assert_eq!(changed.doc.npis, ["2"]);
        assert!(cache.client(row(2, "EHR", "1")).is_err());
    }

    #[test]
    fn the_number_of_kept_documents_is_bounded() {
        let cache = ClientCache::default();
        for id in 0..3000 {
            cache.client(row(id, "EHR", "{}")).unwrap();
        }
        assert!(cache.0.lock().unwrap().len() <= MOST);
    }
}
