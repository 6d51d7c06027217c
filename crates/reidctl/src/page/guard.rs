//! Checks of every request: origin, permission to change something, time limit.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use serde_json::json;

use super::Site;

/// How long an answer may take to begin.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Only this program's own files, and a photo that somebody has chosen; no frames, no plug-ins, nothing inline.
const POLICY: &str = "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A refusal: for programs and people.
pub fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// For every request: host, origin of changes, time limit, and headers that restrict browsers.
pub async fn protect(State(site): State<Site>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = text(headers, &header::HOST);
    let mut response = if !site.access.is_our_host(host) {
        refuse(
            StatusCode::FORBIDDEN,
            "this page is for this machine only: open it as 127.0.0.1 or localhost, or start it with a token",
        )
    } else if changes(request.method()) && !is_from_here(headers, host) {
        refuse(
            StatusCode::FORBIDDEN,
            "changes are made from this page's own address only",
        )
    } else {
        tokio::time::timeout(ANSWER_TIME, next.run(request))
            .await
            .unwrap_or_else(|_| refuse(StatusCode::GATEWAY_TIMEOUT, "the answer took too long"))
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With "no-referrer" browsers would send their own forms with the origin "null".
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        let headers = response.headers_mut();
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// For everything but the page to log in: the token.
pub async fn admit(State(site): State<Site>, request: Request, next: Next) -> Response {
    if site.access.admits(request.headers()) {
        return next.run(request).await;
    }
    let wants_page =
        text(request.headers(), &header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    if wants_page && request.method() == Method::GET {
        return Redirect::to("/login").into_response();
    }
    let mut response = refuse(
        StatusCode::UNAUTHORIZED,
        "send the token: Authorization: Bearer TOKEN, or open /login",
    );
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a change was asked for by this page or by a program, never by a page of somebody else.
fn is_from_here(headers: &HeaderMap, host: Option<&str>) -> bool {
    let site = text(headers, &HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let origin = origin.to_str().ok();
    let place = origin.and_then(|origin| origin.split_once("://"));
    place.is_some_and(|(_, place)| Some(place) == host)
}

/// Who asks for a change, for the log.
pub fn who(from: Option<Extension<Peer>>, site: &Site) -> String {
    let address = from.map_or_else(
        || "unknown".to_owned(),
        |Extension(Peer(address))| address.ip().to_string(),
    );
    let how = if site.access.is_locked() {
        "token"
    } else {
        "local"
    };
    format!("{address} ({how})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_from_this_page_or_from_programs() {
        let headers = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            headers
        };
        let host = Some("127.0.0.1:8090");
        for (pairs, is_ours) in [
            (&[][..], true),
            (&[("origin", "http://127.0.0.1:8090")][..], true),
            (&[("origin", "http://evil.example")][..], false),
            (&[("origin", "http://127.0.0.1:9999")][..], false),
            (&[("origin", "null")][..], false),
            (&[("sec-fetch-site", "cross-site")][..], false),
            (&[("sec-fetch-site", "same-origin")][..], true),
        ] {
            assert_eq!(is_from_here(&headers(pairs), host), is_ours, "{pairs:?}");
        }
    }
}
