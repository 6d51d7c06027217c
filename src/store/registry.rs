//! The galleries of this process: elements with the same gallery name or location share one.
//!
//! The lists hold weak references only: a gallery lives as long as an element holds it. One lock for each list, one for
//! each gallery; a list's lock is never held while waiting for a gallery's or for a database. Opening a location holds the
//! lock of that location alone: a second element of the same location waits and finds it open.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, Weak},
    time::Duration,
};

use super::{
    Location, StoreError,
    cameras::CameraNames,
    kinds,
    model_lock::{ModelLock, described},
    persistence::{Notice, PersistenceWorker},
    rules::RuleBook,
};
use crate::{
    core::{
        embedding::ModelFingerprint,
        identity::{Gallery, GalleryConfig, MAX_NAME_BYTES},
    },
    inference::embedder::score_prior,
    sync::lock,
};

/// Most models that a gallery is told of.
const MAX_INTRODUCED: usize = 64;

static GALLERIES: LazyLock<Mutex<HashMap<String, Weak<SharedGallery>>>> =
    LazyLock::new(Mutex::default);
static STORES: LazyLock<Mutex<HashMap<Location, StoreSlot>>> = LazyLock::new(Mutex::default);
static BOOKS: LazyLock<Mutex<Books>> = LazyLock::new(Mutex::default);

/// The rules of each gallery, by its name and location, while an element is a member.
type Books = HashMap<(String, Location), Weak<RuleBook>>;

/// A location outside of memory, and its gallery while somebody holds it.
type StoreSlot = Arc<Mutex<Weak<SharedGallery>>>;

/// A gallery that several cameras use.
#[derive(Debug)]
pub struct SharedGallery {
    name: String,
    location: Location,
    gallery: Arc<Mutex<Gallery>>,
    cameras: Arc<CameraNames>,
    /// The model of the first vector that came.
    first_model: OnceLock<ModelFingerprint>,
    /// Models whose priors the gallery has been told.
    introduced: Mutex<BTreeSet<ModelFingerprint>>,
    kept: Option<Kept>,
}

/// What a gallery outside of memory has.
#[derive(Debug)]
struct Kept {
    worker: PersistenceWorker,
    model: Arc<ModelLock>,
}

impl SharedGallery {
    fn in_memory(name: &str, config: GalleryConfig) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            location: Location::Memory,
            gallery: Arc::new(Mutex::new(Gallery::new(config))),
            cameras: Arc::default(),
            first_model: OnceLock::new(),
            introduced: Mutex::default(),
            kept: None,
        })
    }

    fn kept(
        name: &str,
        location: &Location,
        config: GalleryConfig,
    ) -> Result<Arc<Self>, StoreError> {
        let model = Arc::<ModelLock>::default();
        let Some(mut database) = kinds::open_database(location, &model)? else {
            return Ok(Self::in_memory(name, config));
        };
        let mut gallery = Gallery::new(config);
        gallery.keep_journal();
        let gallery = Arc::new(Mutex::new(gallery));
        database.begin(&gallery)?;
        let worker = PersistenceWorker::start(gallery.clone(), database);
        let worker = worker.map_err(|error| StoreError::Other {
            location: location.shown(),
            cause: error.to_string(),
        })?;
        Ok(Arc::new(Self {
            name: name.to_owned(),
            location: location.clone(),
            gallery,
            cameras: Arc::default(),
            first_model: OnceLock::new(),
            introduced: Mutex::default(),
            kept: Some(Kept { worker, model }),
        }))
    }

    /// Its name; empty for a private one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is kept.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The names of the cameras that it has in this process.
    pub fn cameras(&self) -> &Arc<CameraNames> {
        &self.cameras
    }

    /// From now on the gallery has the rules of `book`.
    pub fn follow(&self, book: &RuleBook) {
        book.bind(&self.gallery);
    }

    /// The gallery itself. A neighbour's panic does not stop this camera. Hold it for one frame's decisions and for nothing
    /// that waits.
    pub fn lock(&self) -> MutexGuard<'_, Gallery> {
        lock(&self.gallery)
    }

    /// Refuses vectors of another model than those that are kept. In memory, models live side by side. The gallery begins from what the
    /// model's sidecar says of its scores.
    pub fn admit(&self, model: ModelFingerprint) -> Result<(), StoreError> {
        self.introduce(model);
        let Some(kept) = &self.kept else {
            return Ok(());
        };
        kept.model
            .admit(model)
            .map_err(|theirs| StoreError::OtherModel {
                location: self.location.shown(),
                theirs,
                ours: described(model, None),
            })
    }

    /// Tells the gallery once what the scores of a model mean, where that was measured.
    fn introduce(&self, model: ModelFingerprint) {
        let mut introduced = lock(&self.introduced);
        let is_news = introduced.len() < MAX_INTRODUCED && introduced.insert(model);
        drop(introduced);
        if let Some(prior) = score_prior(model).filter(|_| is_news) {
            self.lock().expect_scores(model, prior);
        }
    }

    /// Whether vectors of `model` meet those of another one here, with which they are never compared.
    pub fn has_other_model(&self, model: ModelFingerprint) -> bool {
        *self.first_model.get_or_init(|| model) != model
    }

    /// Takes the notices about the store. Each is given once, to the first caller.
    pub fn notices(&self) -> Vec<Notice> {
        self.kept
            .as_ref()
            .map_or_else(Vec::new, |kept| kept.worker.notices())
    }

    /// Requests a flush of pending changes. Does not wait.
    pub fn request_flush(&self) {
        if let Some(kept) = &self.kept {
            kept.worker.request_flush();
        }
    }

    /// Flushes pending changes. Returns false when `limit` passed first.
    pub fn flush(&self, limit: Duration) -> bool {
        self.kept
            .as_ref()
            .is_none_or(|kept| kept.worker.flush(limit))
    }
}

/// The rules of the gallery that [`open`] gives for this name and location, whether or not it is open.
pub fn rules(name: &str, location: &Location) -> Arc<RuleBook> {
    if name.is_empty() && *location == Location::Memory {
        return Arc::default();
    }
    // A location is one gallery, whatever name is given.
    let name = if *location == Location::Memory {
        name
    } else {
        ""
    };
    let mut books = lock(&BOOKS);
    books.retain(|_, book| book.strong_count() > 0);
    let key = (name.to_owned(), location.clone());
    if let Some(book) = books.get(&key).and_then(Weak::upgrade) {
        return book;
    }
    let book = Arc::<RuleBook>::default();
    books.insert(key, Arc::downgrade(&book));
    book
}

/// The gallery at `location`, or in memory the one called `name`, made with `config` when nobody holds it; neither gives a
/// private one. Elements of a gallery share its rules ([`rules`]).
pub fn open(
    name: &str,
    location: &Location,
    config: GalleryConfig,
) -> Result<Arc<SharedGallery>, StoreError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(StoreError::LongName);
    }
    if *location != Location::Memory {
        return open_kept(name, location, config);
    }
    if name.is_empty() {
        return Ok(SharedGallery::in_memory(name, config));
    }
    let mut galleries = lock(&GALLERIES);
    galleries.retain(|_, gallery| gallery.strong_count() > 0);
    if let Some(gallery) = galleries.get(name).and_then(Weak::upgrade) {
        return Ok(gallery);
    }
    let gallery = SharedGallery::in_memory(name, config);
    galleries.insert(name.to_owned(), Arc::downgrade(&gallery));
    Ok(gallery)
}

fn open_kept(
    name: &str,
    location: &Location,
    config: GalleryConfig,
) -> Result<Arc<SharedGallery>, StoreError> {
    let slot = {
        let mut stores = lock(&STORES);
        // Drops those that nobody holds or is about to hold.
        stores.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0);
        stores.entry(location.clone()).or_default().clone()
    };
    let mut slot = lock(&slot);
    if let Some(gallery) = slot.upgrade() {
        if gallery.name != name {
            return Err(StoreError::OtherName {
                location: location.shown(),
                ours: gallery.name.clone(),
            });
        }
        return Ok(gallery);
    }
    let gallery = SharedGallery::kept(name, location, config)?;
    *slot = Arc::downgrade(&gallery);
    Ok(gallery)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Arc<SharedGallery> {
        open(name, &Location::Memory, GalleryConfig::default()).unwrap()
    }

    #[test]
    fn one_name_is_one_gallery_and_no_name_is_a_private_one() {
        let (a, b) = (named("registry-a"), named("registry-a"));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &named("registry-b")));
        assert!(!Arc::ptr_eq(&named(""), &named("")));
    }

    #[test]
    fn galleries_that_nobody_holds_are_gone() {
        for i in 0..100 {
            named(&format!("registry-gone-{i}"));
        }
        let kept = named("registry-kept");
        let galleries = lock(&GALLERIES);
        let dead = galleries
            .keys()
            .filter(|k| k.starts_with("registry-gone"))
            .count();
        assert!(dead <= 1, "{dead}");
        drop(galleries);
        assert_eq!(kept.name(), "registry-kept");
    }

    #[test]
    fn a_neighbours_panic_stops_nobody() {
        let gallery = named("registry-poisoned");
        let other = gallery.clone();
        let panicked = std::thread::spawn(move || {
            let _held = other.lock();
            panic!("on purpose");
        })
        .join();
        assert!(panicked.is_err());
        assert!(gallery.lock().is_empty());
        assert!(
            open(
                "registry-poisoned",
                &Location::Memory,
                GalleryConfig::default()
            )
            .is_ok()
        );
    }

    #[test]
    fn too_long_a_name_is_refused() {
        let name = "x".repeat(MAX_NAME_BYTES + 1);
        let refused = open(&name, &Location::Memory, GalleryConfig::default());
        assert_eq!(refused.unwrap_err(), StoreError::LongName);
    }
}
