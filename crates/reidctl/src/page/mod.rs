//! The web page of `reidctl run`: people in view, known people, find by picture, state of the cameras; the same as a REST API. Its
//! assets are compiled in.
//!
//! Slow work (the gallery's database, corrections that wait for the store) runs on threads for blocking work; no lock is held while
//! waiting.

mod access;
mod api;
mod correct;
mod find;
mod forms;
mod guard;
mod health;
mod live;
mod metrics;
mod people;
mod views;

use std::{
    sync::{Arc, Mutex, atomic::AtomicU32},
    time::Duration,
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{MethodRouter, get, post},
};
use gstreid::store::registry::SharedGallery;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};

pub use access::Access;

use crate::run::board::{Board, lock};

/// The gallery that the cameras use now.
pub type CurrentGallery = Arc<Mutex<Arc<SharedGallery>>>;

/// Most connections at a time; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 256;
/// Longest head of a request, bytes.
const MAX_HEAD: usize = 16 << 10;
/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// Longest body of a request, bytes.
const MAX_BODY: usize = 16 << 10;
/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Life of a connection: a client that reads nothing does not hold it for ever. Browsers connect again.
const CONNECTION_TIME: Duration = Duration::from_secs(900);

/// What every request may use.
#[derive(Clone)]
struct Site {
    access: Arc<Access>,
    board: Arc<Board>,
    gallery: CurrentGallery,
    /// Streams that are open now: pictures and events.
    streams: Arc<AtomicU32>,
    kept: Arc<people::KeptCache>,
    finder: Arc<find::Finder>,
}

impl Site {
    fn gallery(&self) -> Arc<SharedGallery> {
        lock(&self.gallery).clone()
    }
}

/// Takes longer bodies than other addresses do.
fn with_photo(route: MethodRouter<Site>) -> MethodRouter<Site> {
    // What surrounds the photo in a form is short.
    route.layer(DefaultBodyLimit::max(find::MAX_PHOTO + MAX_BODY))
}

/// Every address, for the description in `openapi.json`, too.
fn router(site: Site) -> Router {
    let open = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/login", get(forms::login_form).post(forms::login))
        .route("/favicon.ico", get(views::icon))
        .route("/assets/icon.svg", get(views::icon))
        .route("/assets/style.css", get(views::style))
        .route("/assets/app.js", get(views::script));
    let closed = Router::new()
        .route("/", get(views::live))
        .route("/people", get(views::people))
        .route("/people/{id}", get(views::person))
        .route(
            "/people/{id}/forget",
            get(views::ask_forget).post(forms::forget),
        )
        .route("/people/{id}/rename", post(forms::rename))
        .route("/people/{id}/merge", post(forms::merge))
        .route("/people/{id}/split", post(forms::split))
        .route("/find", with_photo(get(find::form).post(find::show)))
        .route("/report.html", get(views::report))
        .route("/health", get(views::health))
        .route("/metrics", get(metrics::metrics))
        .route("/api/cameras", get(api::cameras))
        .route("/api/cameras/{name}/picture", get(live::picture))
        .route("/api/cameras/{name}/stream", get(live::stream))
        .route("/api/people", get(api::people))
        .route("/api/people/{id}", get(api::person).delete(api::forget))
        .route("/api/people/{id}/picture", get(api::picture))
        .route("/api/people/{id}/rename", post(api::rename))
        .route("/api/people/{id}/merge", post(api::merge))
        .route("/api/people/{id}/split", post(api::split))
        .route("/api/find", with_photo(post(find::find)))
        .route("/api/history", get(api::history))
        .route("/api/events", get(live::events))
        .route("/api/health", get(health::health))
        .route("/api/openapi.json", get(api::description))
        .layer(middleware::from_fn_with_state(site.clone(), guard::admit));
    open.merge(closed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(site.clone(), guard::protect))
        .with_state(site)
}

/// Serves the page for as long as the program runs.
pub async fn serve(
    listener: TcpListener,
    access: Access,
    board: Arc<Board>,
    gallery: CurrentGallery,
) {
    let router = router(Site {
        access: Arc::new(access),
        board,
        gallery,
        streams: Arc::default(),
        kept: Arc::default(),
        finder: Arc::default(),
    });
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = places.clone().acquire_owned().await {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // No file descriptor is left, as a rule: wait until some are.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = router.clone().layer(axum::Extension(guard::Peer(from)));
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(MAX_HEAD)
                .max_headers(MAX_HEADERS)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            // A client that goes, sends nonsense or is too slow is its own affair.
            let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
            drop(place);
        });
    }
}
