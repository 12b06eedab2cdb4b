//! What the plan's operator may change about a partner.

use super::TestApp;
use assent::auth::Client;

impl TestApp {
    /// Changes a client's registration.
    pub async fn change_client(&self, client_id: &str, change: impl FnOnce(&mut Client)) {
        let read = self.state.store.read(client_id.to_owned(), |tx, client_id| {
            Box::pin(async move { tx.client_by_client_id(client_id).await })
        });
        let mut client = read.await.unwrap().unwrap();
        change(&mut client);
        let write = self
            .state
            .store
            .write((client, self.clock.now()), |tx, (client, now)| {
                Box::pin(async move { tx.put_client(client, *now).await })
            });
        write.await.unwrap();
    }
}
