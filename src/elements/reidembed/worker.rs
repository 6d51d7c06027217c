//! Processes the people of a frame: the embedder, and its state of the stream.

use crate::{
    core::{
        appearance::{
            Candidate, ClassWatch, Decision, EmbeddingCache, Rule, SanityCheck, Selection, Warning,
        },
        embedding::Embedding,
        geometry::Rect,
        person::{Person, Subject},
        quality::crop_qualities,
    },
    elements::model::FrameFault,
    inference::{CropError, EmbedOutcome, Embedder},
    media::{self, FrameSize, MappedFrame, PeopleMeta},
};

/// What may change from frame to frame.
pub struct Params {
    pub selection: Selection,
    pub batch: usize,
    pub rule: Rule,
    /// The frame is too late for new vectors.
    pub is_late: bool,
}

/// The embedder and what it remembers of the stream.
pub struct Worker {
    pub embedder: Embedder,
    pub cache: EmbeddingCache,
    pub sanity: SanityCheck,
    pub classes: ClassWatch,
    /// It was said that a tracker is in front.
    pub has_said_order: bool,
    /// When the last frame was, ns of the stream.
    now_ns: u64,
}

/// What came of one frame.
#[derive(Debug, Default)]
pub struct Looked {
    pub people: u64,
    pub embedded: u64,
    pub reused: u64,
    pub refused: u64,
    pub outcome: EmbedOutcome,
    pub warnings: Vec<Warning>,
    /// Classes of the boxes, none of which is to be embedded.
    pub unwanted: Option<String>,
    /// A tracker in front was noticed.
    pub is_behind_tracker: bool,
}

impl Worker {
    /// Remembers nothing yet.
    pub fn new(embedder: Embedder) -> Self {
        Self {
            embedder,
            cache: EmbeddingCache::default(),
            sanity: SanityCheck::default(),
            classes: ClassWatch::default(),
            has_said_order: false,
            now_ns: 0,
        }
    }

    /// Computes and attaches the vectors of a frame's people. A frame without inference is left unchanged.
    pub fn look(
        &mut self,
        buffer: &mut gst::BufferRef,
        info: &gst_video::VideoInfo,
        params: &Params,
    ) -> Result<Looked, FrameFault> {
        let size = FrameSize::from(info);
        let Some(mut people) = media::read_people(buffer, size) else {
            return Ok(Looked::default());
        };
        let (width, height) = (size.width as f32, size.height as f32);
        let selected = params.selection.select(&people, width, height);
        let rects: Vec<Rect> = selected.iter().map(|&index| people[index].rect).collect();
        let boxes = candidates(&people, &selected, (width, height));
        let now_ns = self.time_ns(buffer);
        let mut decisions = self.cache.decide(&boxes, params.rule, now_ns);
        if params.is_late {
            wait(&mut decisions);
        }
        let mut looked = Looked {
            people: people.len() as u64,
            ..Looked::default()
        };
        for person in &mut people {
            person.subject = match params.selection.is_wanted(&person.label) {
                true => Subject::Described,
                false => Subject::Other,
            };
        }
        let classes = people
            .iter()
            .map(|p| (&*p.label, p.subject == Subject::Described));
        looked.unwanted = self.classes.note(classes);
        let is_tracked = people.iter().any(|p| p.track.is_some());
        looked.is_behind_tracker =
            is_tracked && !std::mem::replace(&mut self.has_said_order, is_tracked);
        // A gap has no picture worth looking at.
        let is_gap = buffer.flags().contains(gst::BufferFlags::GAP);
        if !is_gap {
            looked.outcome = self.embed(buffer, info, &rects, &decisions, params.batch)?;
            let vectors = self.vectors(&decisions, &mut looked);
            self.cache
                .remember(&boxes, &decisions, &vectors, params.rule, now_ns);
            for ((&index, decision), vector) in selected.iter().zip(&decisions).zip(vectors) {
                people[index].embedding = vector;
                people[index].is_carried = *decision != Decision::Embed;
            }
            looked
                .warnings
                .extend(self.sanity.note_refused(looked.refused));
            looked.warnings.extend(self.alike(&people));
        }
        // The mirror to regions of interest holds no vectors: the regions that are there stay true.
        PeopleMeta::set(buffer, size, people);
        Ok(looked)
    }

    /// When a frame is, ns: its time, else what the frames before let expect.
    fn time_ns(&mut self, buffer: &gst::BufferRef) -> u64 {
        let step = buffer.duration().map_or(UNTIMED_NS, |d| d.nseconds());
        let expected = self.now_ns.saturating_add(step);
        self.now_ns = buffer.pts().map_or(expected, |t| t.nseconds());
        self.now_ns
    }

    /// Runs the model on the boxes that need it.
    fn embed(
        &mut self,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
        rects: &[Rect],
        decisions: &[Decision],
        batch: usize,
    ) -> Result<EmbedOutcome, FrameFault> {
        let needed: Vec<Rect> = rects
            .iter()
            .zip(decisions)
            .filter(|(_, decision)| **decision == Decision::Embed)
            .map(|(rect, _)| *rect)
            .collect();
        if needed.is_empty() {
            return Ok(EmbedOutcome::default());
        }
        let frame = MappedFrame::readable(buffer, info)?;
        Ok(self.embedder.embed(&frame.view()?, &needed, batch)?)
    }

    /// The vector of each box, kept or new. Counts.
    fn vectors(&self, decisions: &[Decision], looked: &mut Looked) -> Vec<Option<Embedding>> {
        let mut made = std::mem::take(&mut looked.outcome.vectors).into_iter();
        let vector = |decision: &Decision| match decision {
            Decision::Keep(embedding) => {
                looked.reused += 1;
                Some(embedding.clone())
            }
            Decision::Wait => None,
            Decision::Embed => match made.next()? {
                Ok(embedding) => {
                    looked.embedded += 1;
                    Some(embedding)
                }
                Err(CropError::Vector(_)) => {
                    looked.refused += 1;
                    None
                }
                // Counted as skipped.
                Err(CropError::Crop(_)) => None,
            },
        };
        decisions.iter().map(vector).collect()
    }

    fn alike(&mut self, people: &[Person]) -> Option<Warning> {
        let with_vectors = people
            .iter()
            .filter_map(|person| Some((person.rect, person.embedding.as_ref()?)));
        let with_vectors: Vec<_> = with_vectors.collect();
        self.sanity.note_people(&with_vectors)
    }
}

/// Nobody is embedded in this frame.
fn wait(decisions: &mut [Decision]) {
    for decision in decisions {
        if *decision == Decision::Embed {
            *decision = Decision::Wait;
        }
    }
}

/// Frames without a time and a duration come so far apart, ns.
const UNTIMED_NS: u64 = 40_000_000;

/// The boxes that are to be described, with the quality of their crops.
fn candidates(people: &[Person], selected: &[usize], frame: (f32, f32)) -> Vec<Candidate> {
    let boxes: Vec<(Rect, f32)> = people.iter().map(|p| (p.rect, p.confidence)).collect();
    let qualities = crop_qualities(&boxes, frame);
    let candidate = |&index: &usize| Candidate {
        rect: boxes[index].0,
        confidence: boxes[index].1,
        quality: qualities[index],
    };
    selected.iter().map(candidate).collect()
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub frames: u64,
    /// Passed without new vectors, because they came too late.
    pub late: u64,
    people: u64,
    embedded: u64,
    reused: u64,
    refused: u64,
    runs: u64,
    dimension: u32,
    batch_limit: u32,
    preprocess_ms: f64,
    inference_ms: f64,
}

impl Stats {
    /// Nothing yet.
    pub fn of(embedder: &Embedder) -> Self {
        Self {
            dimension: u32::try_from(embedder.dimension()).unwrap_or(u32::MAX),
            batch_limit: u32::try_from(embedder.batch_limit()).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }

    /// Adds a frame.
    pub fn add(&mut self, looked: &Looked, batch_limit: usize) {
        self.people += looked.people;
        self.embedded += looked.embedded;
        self.reused += looked.reused;
        self.refused += looked.refused;
        self.runs += looked.outcome.runs as u64;
        self.batch_limit = u32::try_from(batch_limit).unwrap_or(u32::MAX);
        self.preprocess_ms += looked.outcome.preprocess.as_secs_f64() * 1e3;
        self.inference_ms += looked.outcome.infer.as_secs_f64() * 1e3;
    }

    /// The property's value.
    pub fn to_structure(self) -> gst::Structure {
        let crops = self.embedded + self.refused;
        let mean = |sum: f64| sum / crops.max(1) as f64;
        gst::Structure::builder("stats")
            .field("frames", self.frames)
            .field("late", self.late)
            .field("people", self.people)
            .field("embedded", self.embedded)
            .field("reused", self.reused)
            .field("skipped", self.people.saturating_sub(crops + self.reused))
            .field("refused", self.refused)
            .field("runs", self.runs)
            .field("dimension", self.dimension)
            .field("batch-limit", self.batch_limit)
            .field("preprocess-ms", mean(self.preprocess_ms))
            .field("inference-ms", mean(self.inference_ms))
            .build()
    }
}
