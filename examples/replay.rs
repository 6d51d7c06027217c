//! Runs tracker and gallery over recorded detections and prints MOT lines, to measure them without a pipeline.
//!
//!     cargo run --release --example replay -- OUT_DIR a.jsonl b.jsonl …
//!
//! Every file is a camera of one gallery; all run in step by their time. A line is a frame:
//! `{"t": ns, "n": frame number, "w": px, "h": px, "o": [{"r": [x, y, w, h], "c": score, "e": [numbers] or null}]}`.
//! Writes `OUT_DIR/<name>.global.txt` with the numbers as they were given, `OUT_DIR/<name>.corrected.txt` with what was
//! announced later (merges, splits, corrections) applied to each track from its beginning, and `OUT_DIR/<name>.track.txt`. Options before OUT_DIR: `min=0.25` lowest score
//! that is looked at, `appearance=0` motion only, `heights=0` without the height prior, `high-score=0.5` a fixed threshold of high-score detections, `match=0.5` a fixed gallery threshold,
//! `model=FILE` with what the scores of that embedder mean, as the file beside it says, `topology=FILE` how the cameras lie to one another (a camera is called as its file without the ending),
//! `shift=SECONDS` each camera so much later than the one before, `after=1` one camera after the other, each in a gallery that was
//! written and read anew, `dump=1` also `OUT_DIR/<name>.tracks.txt` with the track, quality and place in the file of every vector,
//! `reuse=-1` only those vectors that `reidembed` would make by default, `reuse=N` those of its `reuse-interval=N` (0, all that are recorded, without),
//! `jitter=SEED` vectors with some noise, and a quarter of them left out, to see how much of a figure is chance
//! (`tests/reference/identity_jitter.py`), `smooth=0` the detector's own boxes, `unseen=0` without people missed for a moment, `truth=1` tracks from the file's own `"g"`, to measure
//! the gallery alone. `looks` and `sure` are the former names of `appearance` and `high-score`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    error::Error,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use gstreid::{
    core::{
        appearance::{Candidate, Decision, EmbeddingCache, Rule},
        embedding::{Embedding, ModelFingerprint},
        geometry::Rect,
        identity::{
            CameraId, Event, Gallery, GalleryConfig, Saved, SavedPerson, Sighting,
            topology::Topology,
        },
        person::{IdentityId, TrackId, TrackState},
        quality::crop_qualities,
        tracking::{Observation, TrackOutput, Tracker, TrackerConfig},
    },
    inference::sidecar::Sidecar,
};

/// All vectors are one embedder's.
const MODEL: ModelFingerprint = ModelFingerprint(1);
/// A true track that is not seen for so long, ns, has ended.
const LOST_NS: u64 = 2_000_000_000;

struct Camera {
    true_tracks: bool,
    smooth: bool,
    unseen: bool,
    frames: std::iter::Peekable<std::vec::IntoIter<serde_json::Value>>,
    reuse: EmbeddingCache,
    /// When vectors are made anew.
    rule: Rule,
    /// Boxes so far, and those whose vectors were made anew.
    boxes: (u64, u64),
    tracker: Tracker,
    id: Option<CameraId>,
    global: BufWriter<File>,
    track: BufWriter<File>,
    corrected: BufWriter<File>,
    dump: Option<BufWriter<File>>,
    /// How much later than in the file its frames come, ns.
    shift_ns: u64,
    name: String,
    /// Lines to be written once all is known: before and after the number, and whose it is.
    lines: Vec<(String, String, TrackId)>,
    /// When each true track was last seen, ns.
    seen_ns: HashMap<TrackId, u64>,
    /// The number that each track carried last.
    carried: HashMap<TrackId, IdentityId>,
    /// Random numbers for `jitter`.
    jitter: Option<Jitter>,
}

impl Camera {
    /// Writes one box of a frame: its track, if that is confirmed, and its number, if it has one.
    fn write(
        &mut self,
        frame: &str,
        rect: &Rect,
        (track, confirmed): (TrackId, bool),
        number: Option<IdentityId>,
    ) -> std::io::Result<()> {
        let place = format!(
            "{:.2},{:.2},{:.2},{:.2},1,-1,-1,-1",
            rect.x, rect.y, rect.w, rect.h
        );
        if confirmed {
            writeln!(self.track, "{frame},{},{place}", track.0)?;
        }
        if let Some(number) = number {
            writeln!(self.global, "{frame},{},{place}", number.0)?;
            self.carried.insert(track, number);
            self.lines.push((frame.to_owned(), place, track));
        }
        Ok(())
    }

    /// Writes all lines with the number that each track carried last. A number that somebody in the frame carries already,
    /// as two tracks turned out to be one person, becomes one of its own: a person has one box in a frame.
    fn write_corrected(&mut self, merged: &HashMap<IdentityId, IdentityId>) -> std::io::Result<()> {
        let mut taken = HashSet::new();
        let mut own = i32::MAX as u32;
        for (before, after, track) in &self.lines {
            let Some(mut id) = self.carried.get(track) else {
                continue;
            };
            while let Some(into) = merged.get(id) {
                id = into;
            }
            let mut number = id.0;
            if !taken.insert((before, number)) {
                (number, own) = (own, own - 1);
            }
            writeln!(self.corrected, "{before},{number},{after}")?;
        }
        Ok(())
    }
}

struct Detected {
    /// Its place in the frame.
    index: usize,
    rect: Rect,
    confidence: f32,
    embedding: Option<Embedding>,
    /// The true person, where the file says it (`"g"`).
    truth: Option<u32>,
    /// The vector is that of an earlier frame.
    is_carried: bool,
}

/// Standard deviation of the noise of `jitter`, as a part of a vector's length.
const NOISE: f32 = 0.15;
/// The part of the vectors that it leaves out.
const LEFT_OUT: f32 = 0.25;

/// Random numbers (SplitMix64, Steele et al. 2014).
struct Jitter(u64);

impl Jitter {
    /// 0 to 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Adds noise to the vector of a box, or takes it away.
    fn disturb(&mut self, detected: &mut Detected) {
        let Some(vector) = &detected.embedding else {
            return;
        };
        // Evenly distributed from -1/2 to 1/2, which has a standard deviation of the twelfth's root.
        let width = NOISE * (12.0 / vector.dimension() as f32).sqrt();
        let values = vector.values().iter();
        let noisy: Vec<f32> = values.map(|v| v + width * (self.next() - 0.5)).collect();
        let stays = self.next() >= LEFT_OUT;
        let noisy = Embedding::normalised(&noisy, vector.model()).ok();
        detected.embedding = noisy.filter(|_| stays);
    }
}

/// Leaves of the vectors of a frame those that `reidembed` would make, and carries those of earlier frames on.
fn reuse(camera: &mut Camera, found: &mut [Detected], size: (f32, f32), now_ns: u64) {
    let rects: Vec<(Rect, f32)> = found.iter().map(|d| (d.rect, d.confidence)).collect();
    let qualities = crop_qualities(&rects, size);
    let candidate = |(&(rect, confidence), quality)| Candidate {
        rect,
        confidence,
        quality,
    };
    let boxes: Vec<Candidate> = rects.iter().zip(qualities).map(candidate).collect();
    camera.reuse.next_frame();
    let decisions = camera.reuse.decide(&boxes, camera.rule, now_ns);
    for (seen, decision) in found.iter_mut().zip(&decisions) {
        camera.boxes.0 += 1;
        match decision {
            Decision::Embed => camera.boxes.1 += 1,
            Decision::Keep(vector) => seen.embedding = Some(vector.clone()),
            Decision::Wait => seen.embedding = None,
        }
        seen.is_carried = *decision != Decision::Embed;
    }
    let vectors: Vec<Option<Embedding>> = found.iter().map(|d| d.embedding.clone()).collect();
    camera
        .reuse
        .remember(&boxes, &decisions, &vectors, camera.rule, now_ns);
}

fn detected((index, value): (usize, &serde_json::Value)) -> Option<Detected> {
    let number = |v: &serde_json::Value| v.as_f64().map(|v| v as f32);
    let r: Vec<f32> = value["r"].as_array()?.iter().filter_map(number).collect();
    let raw: Vec<f32> = value["e"]
        .as_array()
        .map_or(Vec::new(), |e| e.iter().filter_map(number).collect());
    Some(Detected {
        index,
        rect: Rect::new(*r.first()?, *r.get(1)?, *r.get(2)?, *r.get(3)?),
        confidence: number(&value["c"])?,
        embedding: Embedding::normalised(&raw, MODEL).ok(),
        truth: value["g"].as_u64().and_then(|g| u32::try_from(g).ok()),
        is_carried: false,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = TrackerConfig::default();
    let mut rules = GalleryConfig::default();
    let mut lowest = 0.25;
    let mut true_tracks = false;
    let mut smooth = true;
    let mut unseen = true;
    let mut files = Vec::new();
    let mut topology = None;
    let mut shift = 0.0_f64;
    let mut after = false;
    let mut dump = false;
    let mut rule = Rule::Every(0);
    let mut jitter = None;
    let mut prior = None;
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            Some(("min", v)) => lowest = v.parse()?,
            Some(("truth", v)) => true_tracks = v != "0",
            Some(("smooth", v)) => smooth = v != "0",
            Some(("unseen", v)) => unseen = v != "0",
            Some(("appearance" | "looks", v)) => config.use_appearance = v != "0",
            Some(("heights", v)) => config.use_height_prior = v != "0",
            Some(("high-score" | "sure", v)) => config.high_score = Some(v.parse()?),
            Some(("hits", v)) => config.min_hits = v.parse()?,
            Some(("lost", v)) => config.max_lost_ns = (v.parse::<f64>()? * 1e9) as u64,
            Some(("shift", v)) => shift = v.parse()?,
            Some(("after", v)) => after = v != "0",
            Some(("dump", v)) => dump = v != "0",
            Some(("jitter", v)) => jitter = Some(v.parse::<u64>()?),
            Some(("reuse", v)) => {
                rule = u32::try_from(v.parse::<i32>()?).map_or(Rule::Adaptive, Rule::Every);
            }
            Some(("model", v)) => {
                let beside = Sidecar::beside(Path::new(v))?;
                prior = beside.calibration.and_then(|scores| scores.prior());
            }
            Some(("match", v)) => rules.match_threshold = Some(v.parse()?),
            Some(("topology", v)) => {
                topology = Some(Topology::parse(&std::fs::read_to_string(v)?)?)
            }
            _ => files.push(argument),
        }
    }
    let out = files.remove(0);
    let topology = topology.map(std::sync::Arc::new);
    let empty = || {
        let mut gallery = Gallery::new(rules.clone());
        if let Some(topology) = &topology {
            gallery.set_topology(topology.clone());
        }
        if let Some(prior) = prior {
            gallery.expect_scores(MODEL, prior);
        }
        gallery.keep_journal();
        gallery
    };
    let mut gallery = empty();
    let mut cameras: Vec<Camera> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let name = Path::new(file)
            .file_stem()
            .and_then(|n| n.to_str())
            .unwrap_or("camera");
        let lines = BufReader::new(File::open(file)?).lines();
        let frames: Vec<serde_json::Value> = lines
            .map(|l| Ok(serde_json::from_str(&l?)?))
            .collect::<Result<_, Box<dyn Error>>>()?;
        let length = frames.last().and_then(|f| f["t"].as_u64()).unwrap_or(0);
        let begins = match (after, cameras.last()) {
            (true, Some(last)) => last.shift_ns + length + 10_000_000_000,
            _ => (shift * 1e9 * number as f64) as u64,
        };
        let create =
            |kind: &str| File::create(format!("{out}/{name}.{kind}.txt")).map(BufWriter::new);
        cameras.push(Camera {
            true_tracks,
            smooth,
            reuse: EmbeddingCache::default(),
            rule,
            boxes: (0, 0),
            unseen: unseen && !true_tracks,
            frames: frames.into_iter().peekable(),
            tracker: Tracker::new(config.clone()),
            id: (!after).then(|| gallery.attach(name, config.use_appearance)),
            name: name.to_owned(),
            shift_ns: begins,
            dump: dump.then(|| create("tracks")).transpose()?,
            global: create("global")?,
            track: create("track")?,
            corrected: create("corrected")?,
            lines: Vec::new(),
            seen_ns: HashMap::new(),
            carried: HashMap::new(),
            jitter: jitter.map(|seed| Jitter(seed * 1000 + number as u64)),
        });
    }
    let mut spent = std::time::Duration::ZERO;
    let mut count = 0_u32;
    let mut merged = HashMap::new();
    let mut open = usize::MAX;
    let mut kept = BTreeMap::new();
    loop {
        let next = cameras
            .iter_mut()
            .enumerate()
            .filter_map(|(i, c)| Some((c.frames.peek()?["t"].as_u64()? + c.shift_ns, i)))
            .min();
        let Some((_, index)) = next else { break };
        if after && open != index {
            if let Some(id) = cameras.get(open).and_then(|c| c.id) {
                note(&gallery.detach(id), &mut merged, &mut cameras);
                gallery = reopened(&mut gallery, empty(), &mut kept);
            }
            open = index;
            cameras[index].id = Some(gallery.attach(&cameras[index].name, config.use_appearance));
        }
        let (took, events) = step(&mut cameras[index], &mut gallery, lowest)?;
        spent += took;
        note(&events, &mut merged, &mut cameras);
        count += 1;
    }
    let attached: Vec<CameraId> = cameras.iter().filter_map(|c| c.id).collect();
    for id in attached {
        note(&gallery.detach(id), &mut merged, &mut cameras);
    }
    for camera in &mut cameras {
        camera.write_corrected(&merged)?;
    }
    if rule != Rule::Every(0) {
        let sum = |of: fn(&Camera) -> u64| cameras.iter().map(of).sum::<u64>();
        let (boxes, made) = (sum(|c| c.boxes.0), sum(|c| c.boxes.1));
        eprintln!("{made} vectors made for {boxes} boxes");
    }
    eprintln!(
        "{count} frames, {:?} a frame, {} identities",
        spent / count.max(1),
        gallery.len()
    );
    Ok(())
}

/// Notes which numbers turned out to be others, and which tracks are somebody else's, also of those that are over.
fn note(events: &[Event], merged: &mut HashMap<IdentityId, IdentityId>, cameras: &mut [Camera]) {
    for event in events {
        match event {
            Event::Merged { from, into } => {
                merged.insert(*from, *into);
            }
            Event::Corrected {
                camera,
                track,
                into,
                ..
            } => {
                let known = cameras.iter_mut().find(|c| *c.name == **camera);
                if let Some(id) = known.and_then(|c| c.carried.get_mut(track)) {
                    *id = *into;
                }
            }
            _ => {}
        }
    }
}

/// What a gallery that was closed knows, in one that was opened anew.
fn reopened(
    old: &mut Gallery,
    mut new: Gallery,
    kept: &mut BTreeMap<IdentityId, SavedPerson>,
) -> Gallery {
    let changes = old.take_changes(usize::MAX);
    kept.extend(changes.people.into_iter().map(|p| (p.id, p)));
    for (gone, _) in changes.gone {
        kept.remove(&gone);
    }
    let saved = Saved {
        people: kept.values().cloned().collect(),
        scales: changes.scales,
        next_number: Some(old.upcoming_number()),
    };
    new.restore(saved, 0);
    new
}

fn step(
    camera: &mut Camera,
    gallery: &mut Gallery,
    lowest: f32,
) -> Result<(std::time::Duration, Vec<Event>), Box<dyn Error>> {
    let (Some(frame), Some(id)) = (camera.frames.next(), camera.id) else {
        return Ok((std::time::Duration::ZERO, Vec::new()));
    };
    let time = frame["t"].as_u64().ok_or("t")? + camera.shift_ns;
    let size = (
        frame["w"].as_f64().ok_or("w")? as f32,
        frame["h"].as_f64().ok_or("h")? as f32,
    );
    let mut found: Vec<Detected> = frame["o"]
        .as_array()
        .ok_or("o")?
        .iter()
        .enumerate()
        .filter_map(detected)
        .filter(|d| d.confidence >= lowest)
        .collect();
    if let Some(jitter) = &mut camera.jitter {
        found.iter_mut().for_each(|d| jitter.disturb(d));
    }
    if camera.rule != Rule::Every(0) {
        reuse(camera, &mut found, size, time);
    }
    let rects: Vec<(Rect, f32)> = found.iter().map(|d| (d.rect, d.confidence)).collect();
    let begun = std::time::Instant::now();
    let observations: Vec<Observation<'_>> = found
        .iter()
        .zip(crop_qualities(&rects, size))
        .map(|(d, quality)| Observation {
            rect: d.rect,
            confidence: d.confidence,
            class: 0,
            embedding: d.embedding.as_ref(),
            quality,
        })
        .collect();
    let mut places = Vec::new();
    camera.tracker.update(time, size, &observations);
    if !camera.true_tracks {
        let seen = |o: &&TrackOutput| o.observation.is_some() && o.state == TrackState::Confirmed;
        let outputs = camera.tracker.outputs().iter().filter(seen);
        for track in gallery.lapsed(id, outputs.map(|o| o.track)) {
            camera.tracker.renew(track);
        }
    }
    let visible: Vec<(Rect, Sighting<'_>)> = camera
        .tracker
        .outputs()
        .iter()
        .filter_map(|o| {
            let index = o.observation?;
            let seen = &observations[index];
            let truth = found[index].truth.filter(|_| camera.true_tracks);
            let sighting = Sighting {
                track: truth.map_or(o.track, TrackId),
                confirmed: o.state == TrackState::Confirmed,
                rect: seen.rect,
                embedding: seen.embedding.filter(|_| !found[index].is_carried),
                quality: seen.quality,
            };
            let rect = if camera.smooth { o.rect } else { seen.rect };
            places.push(found[index].index);
            Some((rect, sighting))
        })
        .collect();
    if let Some(dump) = &mut camera.dump {
        for ((rect, sighting), place) in visible.iter().zip(places) {
            let line = (
                frame["n"].to_string(),
                sighting.track.0,
                sighting.confirmed,
                place,
            );
            writeln!(
                dump,
                "{} {} {} {} {:.3} {:.1} {:.1} {:.1} {:.1}",
                line.0,
                line.1,
                u8::from(line.2),
                line.3,
                sighting.quality,
                rect.x,
                rect.y,
                rect.w,
                rect.h
            )?;
        }
    }
    let mut ended = camera.tracker.take_ended();
    if camera.true_tracks {
        for (_, sighting) in &visible {
            camera.seen_ns.insert(sighting.track, time);
        }
        let gone = |seen: &u64| time.saturating_sub(*seen) > LOST_NS;
        let seen = camera.seen_ns.iter();
        ended = seen.filter(|(_, t)| gone(t)).map(|(k, _)| *k).collect();
        camera.seen_ns.retain(|_, t| !gone(t));
    }
    let sightings: Vec<Sighting<'_>> = visible.iter().map(|(_, s)| *s).collect();
    let decision = gallery.observe(id, time, &sightings, &ended);
    let spent = begun.elapsed();
    if std::env::var_os("EVENTS").is_some() {
        for event in &decision.events {
            eprintln!("{} {id:?} {event:?}", frame["n"]);
        }
    }
    let frame = frame["n"].to_string();
    for ((rect, sighting), identity) in visible.iter().zip(decision.identities) {
        let track = sighting.track;
        let number = identity.map(|identity| identity.id);
        camera.write(&frame, rect, (track, sighting.confirmed), number)?;
    }
    if camera.unseen {
        let outputs = camera.tracker.outputs().to_vec();
        for (output, identity) in gallery.unseen(id, &outputs) {
            let track = (output.track, true);
            camera.write(&frame, &output.rect, track, Some(identity.id))?;
        }
    }
    Ok((spent, decision.events))
}
