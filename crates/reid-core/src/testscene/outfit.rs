//! The appearance of a person: size, skin, hair, clothes, bag.

use super::random::{between, hash, shuffled, unit};

/// Red, green, blue, 0..=255, before the camera's light.
pub(super) type Colour = [f32; 3];

/// What a shirt shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Print {
    Plain,
    /// Bands around the body: bands a metre.
    Hoops(f32),
    /// Bands from top to bottom: how many around the body.
    Stripes(f32),
    /// Checks: squares a metre.
    Checks(f32),
    /// The part above this height (of the body's height) in the second colour.
    Yoke(f32),
    /// A picture on the chest.
    Chest,
    /// An open jacket: the second colour shows in front.
    Open,
}

/// What covers the legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lower {
    Trousers,
    Shorts,
    /// Down to the knee.
    Skirt,
}

/// What is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bag {
    None,
    Backpack,
    /// Over the shoulder, on the hip.
    Shoulder,
    /// In the hand.
    Hand,
}

/// What grows or sits on the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Short,
    Long,
    Bald,
    Cap,
    Bun,
}

/// A person's looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outfit {
    pub height_m: f32,
    /// Width of the body, 1 = average.
    pub girth: f32,
    pub skin: Colour,
    pub hair: Colour,
    pub head: Head,
    pub top: Colour,
    pub second: Colour,
    pub print: Print,
    pub long_sleeves: bool,
    /// How far the top reaches down, as a part of the body's height.
    pub hem: f32,
    pub lower: Lower,
    pub bottom: Colour,
    pub shoes: Colour,
    pub bag: Bag,
    pub bag_colour: Colour,
    /// Different folds in the cloth.
    pub cloth: u64,
}

const SKINS: [Colour; 6] = [
    [241.0, 205.0, 180.0],
    [226.0, 180.0, 148.0],
    [205.0, 152.0, 115.0],
    [166.0, 114.0, 80.0],
    [122.0, 80.0, 55.0],
    [86.0, 56.0, 40.0],
];

const HAIRS: [Colour; 6] = [
    [28.0, 23.0, 21.0],
    [58.0, 40.0, 29.0],
    [98.0, 66.0, 42.0],
    [188.0, 150.0, 96.0],
    [140.0, 62.0, 34.0],
    [176.0, 174.0, 170.0],
];

/// Tops, neighbours unlike.
const TOPS: [Colour; 16] = [
    [190.0, 34.0, 40.0],
    [36.0, 74.0, 150.0],
    [236.0, 234.0, 226.0],
    [38.0, 112.0, 66.0],
    [232.0, 182.0, 44.0],
    [40.0, 40.0, 46.0],
    [118.0, 172.0, 212.0],
    [214.0, 108.0, 36.0],
    [104.0, 58.0, 120.0],
    [128.0, 128.0, 124.0],
    [222.0, 148.0, 166.0],
    [30.0, 48.0, 78.0],
    [120.0, 128.0, 60.0],
    [206.0, 190.0, 158.0],
    [30.0, 140.0, 142.0],
    [112.0, 66.0, 44.0],
];

const BOTTOMS: [Colour; 9] = [
    [44.0, 62.0, 96.0],
    [38.0, 38.0, 42.0],
    [178.0, 158.0, 124.0],
    [96.0, 98.0, 102.0],
    [92.0, 120.0, 158.0],
    [222.0, 216.0, 204.0],
    [82.0, 60.0, 46.0],
    [70.0, 78.0, 56.0],
    [116.0, 42.0, 50.0],
];

const SHOES: [Colour; 4] = [
    [34.0, 32.0, 32.0],
    [226.0, 224.0, 220.0],
    [98.0, 66.0, 44.0],
    [90.0, 96.0, 108.0],
];

const BAGS: [Colour; 5] = [
    [32.0, 34.0, 38.0],
    [148.0, 44.0, 40.0],
    [128.0, 92.0, 56.0],
    [48.0, 82.0, 112.0],
    [86.0, 100.0, 68.0],
];

/// Clothes for `people` persons. Tops differ as long as there are enough; then combinations do. With `similar`, all
/// wear dark jackets and trousers of almost one shade.
pub(super) fn dress(people: usize, seed: u64, similar: bool) -> Vec<Outfit> {
    let tops = shuffled(seed, 100, TOPS.len());
    let bottoms = shuffled(seed, 101, BOTTOMS.len());
    (0..people)
        .map(|i| {
            let top = TOPS[tops[i % tops.len()]];
            let bottom = BOTTOMS[bottoms[(i + i / tops.len()) % bottoms.len()]];
            let outfit = one(seed, i as u64, top, bottom);
            if similar {
                uniform(outfit, seed, i as u64)
            } else {
                outfit
            }
        })
        .collect()
}

fn one(seed: u64, person: u64, top: Colour, bottom: Colour) -> Outfit {
    let pick = |what: u64, n: usize| (hash(seed, &[110 + what, person]) % n as u64) as usize;
    let chance = |what: u64, part: f32| unit(seed, &[110 + what, person]) < part;
    let second = match (top[0] + top[1] + top[2]) / 3.0 {
        light if light > 150.0 => TOPS[[1, 5, 11, 0][pick(0, 4)]],
        _ => TOPS[[2, 4, 13, 6][pick(0, 4)]],
    };
    let print = match pick(1, 10) {
        0 | 1 => Print::Hoops(between(seed, &[112, person], 7.0, 11.0)),
        2 => Print::Stripes(14.0),
        3 => Print::Checks(between(seed, &[113, person], 9.0, 13.0)),
        4 => Print::Yoke(0.715),
        5 => Print::Chest,
        6 | 7 => Print::Open,
        _ => Print::Plain,
    };
    let lower = match pick(4, 10) {
        0 | 1 => Lower::Skirt,
        2 => Lower::Shorts,
        _ => Lower::Trousers,
    };
    let head = match pick(5, 10) {
        0..=3 => Head::Short,
        4..=6 => Head::Long,
        7 => Head::Bald,
        8 => Head::Cap,
        _ => Head::Bun,
    };
    Outfit {
        height_m: between(seed, &[130, person], 1.56, 1.92),
        girth: between(seed, &[131, person], 0.92, 1.16),
        skin: SKINS[pick(6, SKINS.len())],
        hair: HAIRS[pick(7, HAIRS.len())],
        head,
        top,
        second,
        print,
        long_sleeves: print == Print::Open || chance(8, 0.6),
        hem: if chance(9, 0.2) { 0.40 } else { 0.49 },
        lower,
        bottom,
        shoes: SHOES[pick(10, SHOES.len())],
        bag: [
            Bag::None,
            Bag::None,
            Bag::Backpack,
            Bag::Shoulder,
            Bag::Hand,
        ][pick(11, 5)],
        bag_colour: BAGS[pick(12, BAGS.len())],
        cloth: hash(seed, &[132, person]),
    }
}

fn uniform(outfit: Outfit, seed: u64, person: u64) -> Outfit {
    let shade = |label: u64, colour: Colour| {
        let by = between(seed, &[label, person], 0.85, 1.15);
        colour.map(|v| v * by)
    };
    Outfit {
        top: shade(140, [52.0, 60.0, 78.0]),
        second: shade(141, [66.0, 74.0, 92.0]),
        print: Print::Plain,
        long_sleeves: true,
        hem: 0.47,
        lower: Lower::Trousers,
        bottom: shade(142, [48.0, 50.0, 58.0]),
        shoes: SHOES[0],
        bag: Bag::None,
        ..outfit
    }
}
