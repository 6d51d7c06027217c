//! Validates a parsed cameras file: names, files and options.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use gstreid::{
    core::identity::topology::Topology,
    elements::reidpublish::check_broker,
    inference::{device::Device, models},
    store::Location,
};

use super::{
    config::{Blur, Camera, Config, MAX_CAMERAS, Options, Publish, Recorded},
    load::Mistake,
    source::Source,
};

/// Longest name of a camera, characters.
const LONGEST_NAME: usize = 64;
/// Most cameras of one world of the test source.
const MAX_VIEWS: u32 = 64;
/// Longest side of the mosaic, px: beyond it H.264 decoders give up.
const MAX_MOSAIC_PX: u64 = 8192;
/// What the test source knows.
const PATTERNS: [&str; 5] = ["walk", "crossing", "crowd", "similar", "empty"];
const ATTACHED: [&str; 3] = ["truth", "detections", "none"];

impl Config {
    /// Makes relative paths start at `folder`.
    pub fn make_whole(&mut self, folder: &Path) {
        let whole = |path: &mut PathBuf| *path = folder.join(&*path);
        self.topology.iter_mut().for_each(whole);
        let models = [&mut self.models.detector, &mut self.models.embedder];
        for model in models.into_iter().flatten().filter(|m| *m != "none") {
            let file = folder.join(&*model);
            // Another bare name is looked for among the models, as the elements do.
            if file.is_file() || model.contains('/') || model.ends_with(".onnx") {
                *model = file.display().to_string();
            }
        }
        let own = self.cameras.iter_mut().map(|camera| &mut camera.options);
        for options in own.chain([&mut self.options]) {
            options
                .record
                .iter_mut()
                .for_each(|record| whole(&mut record.folder));
            let publish = options.publish.iter_mut();
            publish
                .flat_map(|publish| [&mut publish.folder, &mut publish.socket])
                .flatten()
                .for_each(whole);
        }
        self.mosaic.folder.iter_mut().for_each(whole);
        for camera in &mut self.cameras {
            if let Source::File { path, .. } = &mut camera.source {
                whole(path);
            }
        }
    }
}

/// Everything that is wrong; lines and the file's name are still missing.
pub fn check(config: &Config) -> Vec<Mistake> {
    let mut found = Found(Vec::new());
    found.whole_file(config);
    found.models(config);
    found.mosaic(config);
    let mut names = HashSet::new();
    for (i, camera) in config.cameras.iter().enumerate() {
        let at = format!("cameras[{i}]");
        found.name(camera, &at, &mut names);
        found.source(camera, &at);
        let key = format!("{at}.options");
        let options = camera.options.or(&config.options);
        found.options(&options, &key);
        found.received(&camera.source, &options, &key);
    }
    found.0
}

struct Found(Vec<Mistake>);

impl Found {
    fn add(&mut self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Mistake {
            file: PathBuf::new(),
            line: None,
            key: key.into(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    fn whole_file(&mut self, config: &Config) {
        if config.cameras.is_empty() {
            self.add(
                "cameras",
                "there is no camera",
                "add one: {\"cameras\": [{\"name\": \"door\", \"source\": 0}]}",
            );
        }
        if config.cameras.len() > MAX_CAMERAS {
            self.add(
                "cameras",
                format!("there are more than {MAX_CAMERAS} cameras"),
                "start several programs with one gallery on a server",
            );
        }
        let gallery = &config.gallery;
        match Location::parse(&gallery.location) {
            Err(error) => self.add("gallery.location", error.to_string(), "correct it"),
            Ok(Location::Memory) if gallery.thumbnails => self.add(
                "gallery.thumbnails",
                "pictures are kept with a gallery that has a location",
                "add gallery.location, such as sqlite:///var/lib/reid/people.db",
            ),
            Ok(_) => {}
        }
        if gallery
            .match_threshold
            .is_some_and(|t| !(0.0..=1.0).contains(&t))
        {
            self.add(
                "gallery.match-threshold",
                "is not from 0 to 1",
                "leave it out: it is calibrated automatically",
            );
        }
        if !(1..=1_000_000).contains(&gallery.max_identities) {
            self.add(
                "gallery.max-identities",
                "is not from 1 to 1000000",
                "leave it out for 10000",
            );
        }
        let restart = &config.restart;
        let delays = restart.first_seconds..=restart.longest_seconds;
        if restart.stall_seconds == 0
            || *delays.start() <= 0.0
            || *delays.end() > 86_400.0
            || delays.is_empty()
        {
            self.add(
                "restart",
                "stall-seconds is 0, or first-seconds is not above 0 and at most longest-seconds",
                "leave it out for 15, 1 and 60 seconds",
            );
        }
    }

    fn models(&mut self, config: &Config) {
        if let Some(file) = &config.topology {
            let read = fs::read_to_string(file).map_err(|error| error.to_string());
            let parsed =
                read.and_then(|text| Topology::parse(&text).map_err(|error| error.to_string()));
            if let Err(error) = parsed {
                self.add(
                    "topology",
                    format!("{}: {error}", file.display()),
                    "give a file as in docs/topology.md",
                );
            }
        }
        let used = &config.models;
        for (key, model) in [("detector", &used.detector), ("embedder", &used.embedder)] {
            let Some(model) = model.as_ref().filter(|m| *m != "none") else {
                continue;
            };
            let found =
                models::resolve(Some(model.as_str()), model).map_err(|error| error.to_string());
            match found {
                Ok(path) if path.is_file() => {}
                Ok(_) => self.add(
                    &format!("models.{key}"),
                    format!("there is no file {model}"),
                    "give an .onnx file, the name of a model (reidctl models list), or leave it out for the model that ships",
                ),
                Err(error) => self.add(
                    &format!("models.{key}"),
                    error,
                    "or leave it out for the model that ships",
                ),
            }
        }
        if let Some(Err(error)) = used.device.as_deref().map(Device::parse) {
            self.add("models.device", error.to_string(), "leave it out for cpu");
        }
        if used.threads > 1024 {
            self.add("models.threads", "is above 1024", "leave it out");
        }
    }

    fn name(&mut self, camera: &Camera, at: &str, names: &mut HashSet<String>) {
        let key = format!("{at}.name");
        let name = &camera.name;
        let is_fit = !name.trim().is_empty()
            && name.chars().count() <= LONGEST_NAME
            && !name.chars().any(char::is_control);
        if !is_fit {
            self.add(
                &key,
                format!("a name has 1 to {LONGEST_NAME} visible characters"),
                "give a short name such as door",
            );
        } else if !names.insert(file_stem(name).to_lowercase()) {
            self.add(
                &key,
                format!("another camera is called '{name}', or so alike that their files would be the same"),
                "give each camera a name of its own",
            );
        }
    }

    fn source(&mut self, camera: &Camera, at: &str) {
        let key = format!("{at}.source");
        match &camera.source {
            Source::File { path, .. } if camera.enabled && !path.exists() => self.add(
                &key,
                format!("there is no file {}", path.display()),
                "paths are relative to the folder of the cameras file; addresses begin with rtsp:// or http://",
            ),
            Source::Test(test) => {
                let is_fit = (1..=MAX_VIEWS).contains(&test.cameras) && test.camera < test.cameras;
                if !is_fit {
                    self.add(
                        &key,
                        format!("camera {} of {} does not exist", test.camera, test.cameras),
                        format!("count cameras from 0, at most {MAX_VIEWS}"),
                    );
                }
                let is_size = |px: u32| (16..=8192).contains(&px);
                if !is_size(test.width) || !is_size(test.height) || !(1..=240).contains(&test.rate)
                {
                    self.add(
                        &key,
                        "width and height are 16 to 8192 px, rate 1 to 240",
                        "leave them out for 640 x 480 at 15",
                    );
                }
                for (what, value, known) in [
                    ("pattern", &test.pattern, &PATTERNS[..]),
                    ("attach", &test.attach, &ATTACHED[..]),
                ] {
                    if let Some(value) = value.as_ref().filter(|v| !known.contains(&v.as_str())) {
                        self.add(
                            &key,
                            format!("{what} '{value}' is unknown"),
                            format!("one of {}", known.join(", ")),
                        );
                    }
                }
            }
            _ => {}
        }
    }

    fn options(&mut self, options: &Options, at: &str) {
        let key = |name: &str| format!("{at}.{name}");
        if options.threshold.is_some_and(|t| !(0.0..=1.0).contains(&t)) {
            self.add(
                &key("threshold"),
                "is not from 0 to 1",
                "the default is 0.25",
            );
        }
        if options.inference_interval == Some(0) {
            self.add(
                &key("inference-interval"),
                "is 0",
                "1 runs the detector on every frame",
            );
        }
        let names = options.blur_except.as_ref();
        if names.is_some_and(|n| !n.is_empty()) && options.blur != Some(Blur::Except) {
            self.add(
                &key("blur-except"),
                "has no effect",
                "set blur to \"except\", too",
            );
        }
        if names.is_some_and(|n| n.iter().any(|name| name.contains(','))) {
            self.add(
                &key("blur-except"),
                "a name holds a comma",
                "give the person's id, such as P5",
            );
        }
        if let Some(publish) = &options.publish {
            self.publish(publish, &key("publish"));
        }
        let Some(record) = &options.record else {
            return;
        };
        if record.what != Recorded::Annotated && options.hides() {
            self.add(
                &key("record"),
                "only the annotated picture is blurred, but blur is set",
                "set record.what to \"annotated\", or blur to \"none\"",
            );
        }
    }

    fn publish(&mut self, publish: &Publish, key: &str) {
        let has_brokers = publish.brokers().next().is_some();
        if publish.folder.is_none() && publish.socket.is_none() && !has_brokers {
            self.add(
                key,
                "it goes nowhere",
                "add `folder` for files, `mqtt` or `kafka` for a broker, `socket` for a program, or several of them",
            );
        }
        for (name, broker) in publish.brokers() {
            if let Err(error) = check_broker(name, broker) {
                self.add(
                    &format!("{key}.{name}"),
                    error,
                    "docs/run.md shows an address",
                );
            }
        }
    }

    /// A recording of the stream needs one.
    fn received(&mut self, source: &Source, options: &Options, at: &str) {
        let record = options.record.as_ref();
        let is_received = record.is_some_and(|record| record.what.is_received());
        if is_received && matches!(source, Source::Test(_)) {
            self.add(
                &format!("{at}.record"),
                "the test source makes raw pictures: there is no stream to record as received",
                "set record.what of this camera to \"annotated\" or \"plain\"",
            );
        }
    }

    fn mosaic(&mut self, config: &Config) {
        let mosaic = &config.mosaic;
        let is_side = |px: u32| (16..=4096).contains(&px) && px.is_multiple_of(2);
        if !is_side(mosaic.tile_width) || !is_side(mosaic.tile_height) {
            self.add(
                "mosaic",
                "tile-width and tile-height are even, 16 to 4096 px",
                "leave them out for 480 x 270",
            );
        }
        if !(1..=60).contains(&mosaic.rate) {
            self.add("mosaic.rate", "is not from 1 to 60", "leave it out for 10");
        }
        let cameras = config.cameras.iter().filter(|camera| camera.enabled);
        let [columns, rows] = mosaic.grid(cameras.count());
        let side = |tiles: usize, px: u32| tiles as u64 * u64::from(px);
        let longest = side(columns, mosaic.tile_width).max(side(rows, mosaic.tile_height));
        if mosaic.folder.is_some() && longest > MAX_MOSAIC_PX {
            self.add(
                "mosaic",
                format!("it would be {longest} px long, more than {MAX_MOSAIC_PX}"),
                "make tile-width and tile-height smaller, or set columns",
            );
        }
    }
}

/// A camera's name as part of a file's name.
pub fn file_stem(name: &str) -> String {
    let fit = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    name.chars().map(|c| if fit(c) { c } else { '_' }).collect()
}
