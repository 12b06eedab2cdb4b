//! The stylesheet, the script and the icon, compiled into the program. Each URL contains a hash of the content, so a
//! browser may cache it without limit and changed content gets a new URL.

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::fmt::Write;
use std::sync::LazyLock;

/// The path of all assets; the router serves `{BASE_PATH}{file}` with [`serve`].
pub const BASE_PATH: &str = "/assets/";

/// One compiled-in file.
#[derive(Debug)]
pub struct Asset {
    /// The name that templates use: `assent.css`.
    pub name: &'static str,
    /// The path with the hash: `/assets/assent.0123456789abcdef.css`.
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

/// The path of the asset with this name.
pub fn url(name: &str) -> Option<&'static str> {
    all()
        .iter()
        .find(|asset| asset.name == name)
        .map(|asset| asset.url.as_str())
}

/// Serves one asset. A path with an outdated hash is 404; it never returns newer content.
pub async fn serve(Path(file): Path<String>) -> Response {
    let found = all()
        .iter()
        .find(|asset| asset.url.strip_prefix(BASE_PATH) == Some(file.as_str()));
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
    let hash = digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .take(8)
        .fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "bin"));
    Asset {
        name,
        url: format!("{BASE_PATH}{stem}.{hash}.{extension}"),
        media_type,
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_asset_may_be_cached_without_limit_at_its_hashed_path() {
        let file = url("assent.css")
            .unwrap()
            .strip_prefix(BASE_PATH)
            .unwrap()
            .to_owned();
        let response = serve(Path(file)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/css; charset=utf-8"
        );
        assert!(
            response.headers()[header::CACHE_CONTROL]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
    }

    #[tokio::test]
    async fn a_path_without_the_right_hash_is_not_found() {
        for file in ["assent.css", "assent.0000000000000000.css", "../Cargo.toml"] {
            assert_eq!(serve(Path(file.to_owned())).await.status(), StatusCode::NOT_FOUND);
        }
    }

    #[test]
    fn assets_load_nothing_from_other_hosts() {
        for asset in all() {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let without_namespace = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !without_namespace.contains("http"),
                "{} names another host",
                asset.name
            );
        }
    }
}
