//! A made-up world to test with: people who differ in clothes walk through a hall that several cameras watch.
//!
//! Everything is a closed formula of seed and time: the same seed gives the same world to every camera at the same
//! moment, in any order of asking, at any picture size and frame rate. What is drawn is also known exactly: every
//! picture comes with its [`Truth`].
//!
//! * `world`: who walks where, and how the cameras see it. Metres and seconds.
//! * `outfit`: what tells one person from another.
//! * `figure`: a walking body made of limbs, drawn into a `tile`.
//! * `room`: the hall behind and in front of them, traced once per camera and size, with depth.

mod figure;
mod outfit;
mod paint;
mod random;
mod room;
mod tile;
mod view;
mod world;

pub use view::View;
pub use world::World;

use super::geometry::Rect;

/// Most people in a world; more are refused.
pub const MAX_PEOPLE: u32 = 1000;

/// Most cameras in a world; more are refused.
pub const MAX_CAMERAS: u32 = 64;

/// What the people do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// They walk down a hall past one camera after the other; between two views nobody sees them, and now and then a
    /// view is empty.
    #[default]
    Walk,
    /// All cameras watch one place from different sides; people meet there, pass each other closely or turn back.
    Crossing,
    /// All cameras watch one place full of people who stroll about and hide each other.
    Crowd,
    /// As [`Pattern::Walk`], in clothes that hardly differ.
    Similar,
    /// The hall without anybody.
    Empty,
}

/// Which world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SceneConfig {
    /// What the people do.
    pub pattern: Pattern,
    /// How many people there are, at most [`MAX_PEOPLE`].
    pub people: u32,
    /// How many cameras watch, 1 to [`MAX_CAMERAS`].
    pub cameras: u32,
    /// Another seed, other people on other ways.
    pub seed: u64,
}

impl Default for SceneConfig {
    fn default() -> Self {
        Self {
            pattern: Pattern::Walk,
            people: 6,
            cameras: 2,
            seed: 1,
        }
    }
}

/// Where a person really is in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// The person's number, from 1, the same in all cameras.
    pub id: u32,
    /// The whole body as far as it lies in the picture, hidden parts included, in whole px.
    pub rect: Rect,
    /// The part of the body's outline that can be seen, 0..=1; what lies outside the picture or behind something is
    /// not seen.
    pub visibility: f32,
}
