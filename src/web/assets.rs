//! The stylesheet, the script and the icon, compiled in. Each address carries a hash of the content, so a browser may
//! keep it for good and a new build is a new address.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::LazyLock;

/// Where the assets live; the router serves `{BASE}{file}` with [`get`].
pub const BASE: &str = "/assets/";

/// One compiled-in file.
#[derive(Debug)]
pub struct Asset {
    /// The name that templates use: `assent.css`.
    pub name: &'static str,
    /// The whole address, hash included: `/assets/assent.0123456789abcdef.css`.
    pub url: String,
    media_type: &'static str,
    bytes: &'static [u8],
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset(
            "assent.css",
            "text/css; charset=utf-8",
            include_bytes!("assets/assent.css"),
        ),
        asset(
            "assent.js",
            "text/javascript; charset=utf-8",
            include_bytes!("assets/assent.js"),
        ),
        asset("assent.svg", "image/svg+xml", include_bytes!("assets/assent.svg")),
    ]
});

/// Every asset.
pub fn all() -> &'static [Asset] {
    ASSETS.as_slice()
}

/// The address of the asset called `name`.
pub fn url(name: &str) -> Option<&'static str> {
    all()
        .iter()
        .find(|asset| asset.name == name)
        .map(|asset| asset.url.as_str())
}

/// Serves one asset; an address with an old hash is 404, never the new content under the old name.
pub async fn get(Path(file): Path<String>) -> Response {
    let found = all()
        .iter()
        .find(|asset| asset.url.strip_prefix(BASE) == Some(file.as_str()));
    match found {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
                (
                    header::CACHE_CONTROL,
                    HeaderValue::from_static("public, max-age=31536000, immutable"),
                ),
                (
                    header::X_CONTENT_TYPE_OPTIONS,
                    HeaderValue::from_static("nosniff"),
                ),
            ],
            asset.bytes,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn asset(name: &'static str, media_type: &'static str, bytes: &'static [u8]) -> Asset {
    let hash = Sha256::digest(bytes)
        .iter()
        .take(8)
        .fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "bin"));
    Asset {
        name,
        url: format!("{BASE}{stem}.{hash}.{ending}"),
        media_type,
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_asset_is_served_at_its_hashed_address_for_good() {
        let file = url("assent.css").unwrap().strip_prefix(BASE).unwrap().to_owned();
        let answer = get(Path(file)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert!(
            answer.headers()[header::CACHE_CONTROL]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
    }

    #[tokio::test]
    async fn an_address_without_the_right_hash_is_not_found() {
        for file in ["assent.css", "assent.0000000000000000.css", "../Cargo.toml"] {
            assert_eq!(get(Path(file.to_owned())).await.status(), StatusCode::NOT_FOUND);
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in all() {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let outside = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("http"), "{} names another host", asset.name);
        }
    }
}
