//! What a gallery writes down, and what it makes of what others wrote.
//!
//! Long because every case of the journal is played through once.

use std::collections::BTreeSet;

use crate::identity::{tests::faceless, *};
use crate::{
    embedding::{Embedding, ModelFingerprint},
    image::{Colorimetry, ImageView, PixelFormat, Plane},
    person::{IdentityId, TrackId},
    thumbnail::Thumbnail,
};

const FRAME_NS: u64 = 40_000_000;
/// Some moment of 2026, ns since 1970.
const WALL_NS: u64 = 1_790_000_000_000_000_000;

fn gallery() -> Gallery {
    let mut gallery = Gallery::new(GalleryConfig::default());
    gallery.keep_journal();
    gallery
}

/// A vector that is this person's own.
fn looks(person: usize) -> Embedding {
    let mut raw = vec![0.2; 32];
    raw[person % 16] = 2.0;
    raw[16 + person % 16] += 1.0;
    Embedding::normalised(&raw, ModelFingerprint(5)).unwrap()
}

/// Somebody whose vectors vary in one direction, for long enough to learn which.
fn vary(gallery: &mut Gallery, camera: CameraId) {
    for n in 0..1500_u64 {
        let mut raw = looks(1).values().to_vec();
        raw[30] += if n / 13 % 2 == 0 { 0.4 } else { -0.4 };
        let vector = Embedding::normalised(&raw, ModelFingerprint(5)).unwrap();
        let sighting = Sighting {
            track: TrackId(1),
            confirmed: true,
            rect: Rect::new(0.0, 0.0, 80.0, 200.0),
            embedding: Some(&vector),
            quality: 0.9,
        };
        gallery.observe(camera, n * FRAME_NS, &[sighting], &[]);
    }
}

#[test]
fn what_varies_within_visits_is_known_after_a_restart() {
    let mut before = gallery();
    let door = before.attach("door", true);
    vary(&mut before, door);
    let changes = before.take_changes(usize::MAX);
    let variation = changes.scales[0].variation.clone();
    assert!(variation.is_some());
    let mut after = gallery();
    let saved = Saved {
        people: changes.people,
        scales: changes.scales,
        next_number: Some(changes.next_number),
    };
    after.restore(saved.clone(), WALL_NS);
    let along = |gallery: &Gallery| {
        let mut along = vec![0.0; 32];
        along[30] = 1.0;
        gallery.spaces[0].variation.remove(&mut along);
        along[30]
    };
    assert!(along(&before) < 0.5, "{}", along(&before));
    assert!((along(&after) - along(&before)).abs() < 0.1);
    // Galleries of before have none.
    let mut older = saved;
    older.scales[0].variation = None;
    let mut after = gallery();
    after.restore(older, WALL_NS);
    assert_eq!(along(&after), 1.0);
}

/// `people` in the view of a camera for `frames` frames; their numbers in the last.
fn watch(
    gallery: &mut Gallery,
    camera: CameraId,
    begin_ns: u64,
    frames: u64,
    people: &[usize],
) -> Vec<u32> {
    let mut found = Vec::new();
    for n in 0..frames {
        let vectors: Vec<Embedding> = people.iter().map(|&p| looks(p)).collect();
        let sightings: Vec<Sighting<'_>> = people
            .iter()
            .zip(&vectors)
            .map(|(&p, vector)| Sighting {
                track: TrackId(p as u32 + 1),
                confirmed: true,
                rect: Rect::new(200.0 * p as f32, 0.0, 80.0, 200.0),
                embedding: Some(vector),
                quality: 0.9,
            })
            .collect();
        let decision = gallery.observe(camera, begin_ns + n * FRAME_NS, &sightings, &[]);
        found = decision
            .identities
            .iter()
            .map(|i| i.as_ref().map_or(0, |i| i.id.0))
            .collect();
    }
    found
}

/// Another process that reads all that one wrote.
fn restored(changes: &Changes, wall_ns: u64) -> Gallery {
    let mut gallery = gallery();
    let saved = Saved {
        people: changes.people.clone(),
        scales: changes.scales.clone(),
        next_number: Some(changes.next_number),
    };
    gallery.restore(saved, wall_ns);
    gallery
}

#[test]
fn a_restored_gallery_knows_everybody_and_goes_on_counting() {
    let mut before = gallery();
    before.restore(Saved::default(), WALL_NS);
    let door = before.attach("door", true);
    assert_eq!(watch(&mut before, door, 0, 20, &[0, 1]), [1, 2]);
    before.rename(IdentityId(2), "Ada").unwrap();
    before.detach(door);
    let changes = before.take_changes(usize::MAX);
    assert!(changes.people.iter().all(|p| p.is_new));
    assert!(before.take_changes(usize::MAX).is_empty());

    let mut after = restored(&changes, WALL_NS + 3_600_000_000_000);
    assert!(after.take_changes(usize::MAX).is_empty());
    let hall = after.attach("hall", true);
    assert_eq!(watch(&mut after, hall, 0, 20, &[1, 0, 2]), [2, 1, 3]);
    let list = after.list();
    assert_eq!(list[1].name.as_deref(), Some("Ada"));
    // One clock over both lives.
    assert!(list[0].first_seen_ns < WALL_NS + 1_000_000_000);
    assert!(list[0].last_seen_ns > WALL_NS + 3_600_000_000_000);
}

#[test]
fn sightings_say_who_was_where_from_when_until_when() {
    let mut gallery = gallery();
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    watch(&mut gallery, door, 0, 26, &[0]);
    watch(&mut gallery, hall, 2_000_000_000, 26, &[0]);
    // Longer away than a sighting lasts, and shorter.
    watch(&mut gallery, door, 20_000_000_000, 26, &[0]);
    watch(&mut gallery, door, 23_000_000_000, 26, &[0]);
    let changes = gallery.take_changes(usize::MAX);
    let stays: Vec<(&str, u64, u64)> = changes
        .sightings
        .iter()
        .map(|s| (&*s.camera, s.from_ns / 1_000_000, s.to_ns / 1_000_000))
        .collect();
    assert_eq!(
        stays,
        [
            ("door", 0, 1000),
            ("door", 20_000, 24_000),
            ("hall", 2000, 3000)
        ]
    );
    // The same stay goes on: it is written again under the same name.
    watch(&mut gallery, door, 24_000_000_000, 26, &[0]);
    let changes = gallery.take_changes(usize::MAX);
    assert_eq!(changes.sightings.len(), 1);
    assert_eq!(changes.sightings[0].from_ns, 20_000_000_000);
}

#[test]
fn a_slow_store_makes_nothing_grow_and_loses_nobody() {
    let mut gallery = gallery();
    let camera = gallery.attach("door", true);
    let mut ids = BTreeSet::new();
    for n in 0..200_u64 {
        ids.extend(watch(
            &mut gallery,
            camera,
            n * 10_000_000_000,
            20,
            &[n as usize % 7],
        ));
        let gone = [TrackId((n % 7) as u32 + 1)];
        gallery.observe(camera, n * 10_000_000_000 + 1_000_000_000, &[], &gone);
    }
    let mut taken = BTreeSet::new();
    loop {
        let changes = gallery.take_changes(3);
        if changes.is_empty() {
            break;
        }
        assert!(changes.people.len() <= 3);
        // The disk is full: it comes again.
        if taken.is_empty() {
            gallery.put_back(&changes);
            let again = gallery.take_changes(3);
            assert_eq!(again, changes);
        }
        taken.extend(changes.people.iter().map(|p| p.id.0));
    }
    assert_eq!(taken, ids);
}

#[test]
fn pending_sightings_are_bounded() {
    let mut journal = crate::identity::journal::Journal::default();
    for n in 0..3 * MAX_SPANS as u64 {
        journal.seen(IdentityId(1), CameraId(1), n * 10_000_000_000);
    }
    assert_eq!(journal.pending_spans(), MAX_SPANS);
}

#[test]
fn merges_forgetting_and_expiry_are_written_down() {
    let mut gallery = gallery();
    gallery.configure(GalleryConfig {
        match_threshold: Some(0.99),
        ..GalleryConfig::default()
    });
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    watch(&mut gallery, door, 0, 20, &[0]);
    watch(&mut gallery, hall, 0, 20, &[1]);
    watch(&mut gallery, hall, FRAME_NS * 30, 20, &[2]);
    gallery.take_changes(usize::MAX);
    gallery.merge(IdentityId(2), IdentityId(1)).unwrap();
    gallery.forget(IdentityId(3)).unwrap();
    let changes = gallery.take_changes(usize::MAX);
    assert_eq!(
        changes.gone,
        [
            (IdentityId(2), Fate::Merged(IdentityId(1))),
            (IdentityId(3), Fate::Forgotten)
        ]
    );
    assert_eq!(*changes.people[0].previous, [IdentityId(2)]);
}

#[test]
fn people_without_looks_are_nobodys_business() {
    let mut gallery = gallery();
    let blind = gallery.attach("door", false);
    gallery.observe(blind, 0, &[faceless(1)], &[]);
    assert!(gallery.take_changes(usize::MAX).is_empty());
    gallery.observe(blind, FRAME_NS, &[], &[TrackId(1)]);
    assert!(gallery.take_changes(usize::MAX).is_empty());
    assert_eq!(gallery.upcoming_number(), 2);
}

#[test]
fn old_people_leave_when_the_gallery_is_opened_again() {
    let mut before = gallery();
    before.restore(Saved::default(), WALL_NS);
    let door = before.attach("door", true);
    watch(&mut before, door, 0, 20, &[0]);
    before.detach(door);
    let changes = before.take_changes(usize::MAX);
    let mut after = Gallery::new(GalleryConfig {
        max_age_ns: Some(60_000_000_000),
        ..GalleryConfig::default()
    });
    after.keep_journal();
    let saved = Saved {
        people: changes.people.clone(),
        next_number: Some(2),
        ..Saved::default()
    };
    after.restore(saved, WALL_NS + 30_000_000_000);
    assert_eq!(after.len(), 1);
    after.idle(WALL_NS + 62_000_000_000);
    assert!(after.is_empty());
    let changes = after.take_changes(usize::MAX);
    assert_eq!(changes.gone, [(IdentityId(1), Fate::Expired)]);
}

#[test]
fn two_who_enrol_the_same_person_agree() {
    let (mut here, mut there) = (gallery(), gallery());
    here.reserve_numbers(1..65);
    there.reserve_numbers(65..129);
    let (door, hall) = (here.attach("door", true), there.attach("hall", true));
    assert_eq!(watch(&mut here, door, 0, 20, &[0, 1]), [1, 2]);
    assert_eq!(watch(&mut there, hall, 0, 20, &[1, 2]), [65, 66]);
    // The others were first.
    let others = here.take_changes(usize::MAX).people;
    let known: BTreeSet<IdentityId> = others.iter().map(|p| p.id).collect();
    for person in others {
        there.adopt(person, Authority::Neighbour);
    }
    for id in there.unkept() {
        if let Some(double) = there.double_among(id, &known) {
            there.agree(id, double);
        }
    }
    let carried = there.identity(hall, TrackId(2)).unwrap();
    assert_eq!(
        (carried.id, &*carried.previous),
        (IdentityId(2), &[IdentityId(65)][..])
    );
    assert_eq!(
        there.take_events(),
        [Event::Merged {
            from: IdentityId(65),
            into: IdentityId(2)
        }]
    );
    let changes = there.take_changes(usize::MAX);
    let written: Vec<u32> = changes.people.iter().map(|p| p.id.0).collect();
    assert_eq!(written, [2, 66]);
    assert!(
        changes.people[0]
            .rows
            .iter()
            .any(|row| &*row.camera == "door")
    );
    assert!(
        changes.people[0]
            .rows
            .iter()
            .any(|row| &*row.camera == "hall")
    );
}

#[test]
fn what_others_did_is_taken_in() {
    let mut gallery = gallery();
    let door = gallery.attach("door", true);
    watch(&mut gallery, door, 0, 20, &[0, 1]);
    let mut people = gallery.take_changes(usize::MAX).people;
    gallery.rename(IdentityId(1), "Ada").unwrap();
    people[0].name = Some("Somebody".into());
    people[1].name = Some("Bob".into());
    for person in people.clone() {
        gallery.adopt(person, Authority::Neighbour);
    }
    let names: Vec<_> = gallery.list().iter().map(|p| p.name.clone()).collect();
    assert_eq!(names, [Some("Ada".into()), Some("Bob".into())]);
    // In view here, so it stays; forgotten is forgotten.
    gallery.depart(IdentityId(1), Fate::Expired);
    assert_eq!(gallery.len(), 2);
    gallery.depart(IdentityId(2), Fate::Forgotten);
    assert_eq!(gallery.len(), 1);
    // Merged into somebody whom nobody has told of yet.
    gallery.depart(IdentityId(1), Fate::Merged(IdentityId(9)));
    assert_eq!(
        gallery.identity(door, TrackId(1)).unwrap().id,
        IdentityId(9)
    );
    let changes = gallery.take_changes(usize::MAX);
    assert!(changes.gone.is_empty(), "the others know");
}

#[test]
fn two_who_merge_the_other_way_round_end_with_one() {
    let mut here = gallery();
    here.configure(GalleryConfig {
        match_threshold: Some(0.999),
        ..GalleryConfig::default()
    });
    let (door, hall) = (here.attach("door", true), here.attach("hall", true));
    watch(&mut here, door, 0, 20, &[0]);
    watch(&mut here, hall, 0, 20, &[1]);
    let (one, two) = (IdentityId(1), IdentityId(2));
    let before = here.take_changes(usize::MAX).people;
    here.merge(one, two).unwrap();
    // The others were first, and theirs is the number 1.
    here.adopt(before[0].clone(), Authority::Neighbour);
    here.depart(two, Fate::Merged(one));
    assert_eq!(here.identity(door, TrackId(1)).unwrap().id, one);
    assert_eq!(here.identity(hall, TrackId(2)).unwrap().id, one);
    let changes = here.take_changes(usize::MAX);
    assert!(changes.gone.is_empty(), "{:?}", changes.gone);
    assert_eq!(changes.people[0].id, one);
    assert!(changes.people[0].rows.len() > 1);
}

#[test]
fn a_camera_that_sees_nobody_for_long_does_not_hold_the_clock() {
    let mut gallery = gallery();
    gallery.restore(Saved::default(), WALL_NS);
    let door = gallery.attach("door", true);
    gallery.observe(door, FRAME_NS, &[], &[]);
    let hour_ns = 3_600_000_000_000;
    gallery.idle(WALL_NS + hour_ns);
    watch(&mut gallery, door, hour_ns, 20, &[0]);
    assert!(gallery.list()[0].first_seen_ns >= WALL_NS + hour_ns);
    // From now on the camera's time counts.
    gallery.idle(WALL_NS + 2 * hour_ns);
    assert!(gallery.list()[0].last_seen_ns < WALL_NS + hour_ns + 1_000_000_000);
}

#[test]
fn numbers_of_ones_own_making_are_replaced() {
    let mut gallery = gallery();
    gallery.number_from(PROVISIONAL + 700);
    let door = gallery.attach("door", true);
    assert_eq!(
        watch(&mut gallery, door, 0, 20, &[0, 1]),
        [PROVISIONAL + 700, PROVISIONAL + 701]
    );
    gallery.reserve_numbers(7..8);
    gallery.replace_provisional();
    let carried = gallery.identity(door, TrackId(1)).unwrap();
    assert_eq!(carried.id, IdentityId(7));
    gallery.reserve_numbers(20..30);
    gallery.replace_provisional();
    assert_eq!(
        watch(&mut gallery, door, FRAME_NS * 30, 1, &[0, 1]),
        [7, 20]
    );
    let changes = gallery.take_changes(usize::MAX);
    let written: Vec<(u32, bool)> = changes.people.iter().map(|p| (p.id.0, p.is_new)).collect();
    assert_eq!(written, [(7, true), (20, true)]);
}

/// A picture of one colour.
fn picture(grey: u8) -> Thumbnail {
    let data = vec![grey; 40 * 80];
    let plane = Plane {
        data: &data,
        stride: 40,
    };
    let colorimetry = Colorimetry::default();
    let view = ImageView::new(PixelFormat::Gray8, 40, 80, &[plane], colorimetry).unwrap();
    Thumbnail::cut(&view, Rect::new(0.0, 0.0, 40.0, 80.0)).unwrap()
}

/// Whose pictures are to be written, and how good they are.
fn pictures(changes: &Changes) -> Vec<(u32, f32)> {
    let all = changes.thumbnails.iter();
    all.map(|(id, t)| (id.0, t.quality)).collect()
}

#[test]
fn pictures_are_taken_of_people_with_looks_when_they_are_clearly_better() {
    let mut nobody_keeps = Gallery::new(GalleryConfig::default());
    let camera = nobody_keeps.attach("door", true);
    watch(&mut nobody_keeps, camera, 0, 20, &[0]);
    assert!(!nobody_keeps.wants_thumbnail(camera, TrackId(1), 0.9));

    let mut gallery = gallery();
    let door = gallery.attach("door", true);
    let track = TrackId(1);
    watch(&mut gallery, door, 0, 20, &[0]);
    assert!(!gallery.wants_thumbnail(door, track, 0.2), "too poor");
    assert!(gallery.wants_thumbnail(door, track, 0.5));
    gallery.keep_thumbnail(door, track, 0.5, picture(100));
    assert!(!gallery.wants_thumbnail(door, track, 0.52));
    assert!(gallery.wants_thumbnail(door, track, 0.6));
    assert!(!gallery.wants_thumbnail(door, TrackId(9), 0.9), "nobody");
    let changes = gallery.take_changes(usize::MAX);
    assert_eq!(pictures(&changes), [(1, 0.5)]);
    assert_eq!(&*changes.thumbnails[0].1.camera, "door");
    // The disk is full: it comes again, unless a better one was taken meanwhile.
    gallery.put_back(&changes);
    assert_eq!(pictures(&gallery.take_changes(usize::MAX)), [(1, 0.5)]);
    gallery.keep_thumbnail(door, track, 0.7, picture(100));
    gallery.put_back(&changes);
    assert_eq!(pictures(&gallery.take_changes(usize::MAX)), [(1, 0.7)]);
}

#[test]
fn the_better_picture_survives_a_merge_and_none_survives_forgetting() {
    let mut gallery = gallery();
    gallery.configure(GalleryConfig {
        match_threshold: Some(0.99),
        ..GalleryConfig::default()
    });
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    watch(&mut gallery, door, 0, 20, &[0]);
    watch(&mut gallery, hall, 0, 20, &[1]);
    gallery.keep_thumbnail(door, TrackId(1), 0.5, picture(100));
    gallery.keep_thumbnail(hall, TrackId(2), 0.8, picture(200));
    gallery.merge(IdentityId(2), IdentityId(1)).unwrap();
    assert!(!gallery.wants_thumbnail(door, TrackId(1), 0.85));
    let changes = gallery.take_changes(usize::MAX);
    assert_eq!(pictures(&changes), [(1, 0.8)]);
    gallery.keep_thumbnail(door, TrackId(1), 0.95, picture(100));
    gallery.forget(IdentityId(1)).unwrap();
    gallery.put_back(&changes);
    assert!(gallery.take_changes(usize::MAX).thumbnails.is_empty());
}

#[test]
fn pictures_that_wait_are_bounded() {
    let mut thumbnails = crate::identity::thumbnails::Thumbnails::default();
    let one = |quality| SavedThumbnail {
        camera: "door".into(),
        origin: IdentityId(1),
        quality,
        picture: picture(1),
    };
    for n in 0..MAX_THUMBNAILS as u32 {
        assert!(thumbnails.wants(IdentityId(n), 0.5));
        thumbnails.offer(IdentityId(n), one(0.5), None);
    }
    assert!(!thumbnails.wants(IdentityId(u32::MAX), 0.9));
    assert!(thumbnails.wants(IdentityId(3), 0.9), "in place of another");
    assert_eq!(thumbnails.take(|id| id.0 < 3).len(), 3);
    assert!(thumbnails.wants(IdentityId(u32::MAX), 0.9));
}

#[test]
fn what_a_camera_saw_goes_with_a_split() {
    let mut gallery = gallery();
    gallery.configure(GalleryConfig {
        match_threshold: Some(0.99),
        ..GalleryConfig::default()
    });
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    watch(&mut gallery, door, 0, 20, &[0]);
    watch(&mut gallery, hall, 0, 20, &[1]);
    let (one, two, three) = (IdentityId(1), IdentityId(2), IdentityId(3));
    gallery.keep_thumbnail(door, TrackId(1), 0.5, picture(100));
    gallery.keep_thumbnail(hall, TrackId(2), 0.8, picture(200));
    gallery.take_changes(usize::MAX);
    watch(&mut gallery, hall, FRAME_NS * 20, 20, &[1]);
    // Not written before the split: what the place has of P2 goes to P3, too.
    gallery.merge(two, one).unwrap();
    assert_eq!(gallery.split(one, Some("hall")).unwrap().0, three);
    let changes = gallery.take_changes(usize::MAX);
    let part = || Part::Camera("hall".into());
    let moved = |from, into, part| Move { from, into, part };
    assert_eq!(
        changes.moves,
        [moved(two, three, part()), moved(one, three, part())]
    );
    let whose: Vec<(u32, &str)> = changes
        .sightings
        .iter()
        .map(|s| (s.id.0, &*s.camera))
        .collect();
    assert_eq!(whose, [(3, "hall")]);
    // The better picture was the hall's: it went along, and the door may take another.
    assert!(!gallery.wants_thumbnail(hall, TrackId(2), 0.85));
    assert!(gallery.wants_thumbnail(door, TrackId(1), 0.5));
    // The disk is full: it comes again, in order.
    gallery.put_back(&changes);
    assert_eq!(gallery.take_changes(usize::MAX).moves, changes.moves);
    // Nobody can be made of nothing.
    let refused = gallery.split(one, Some("hall")).unwrap_err();
    assert_eq!(refused, GalleryError::NothingToSplit(one));
}

#[test]
fn whoever_was_given_something_is_erased_even_if_never_written() {
    let mut gallery = gallery();
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    watch(&mut gallery, door, 0, 20, &[0]);
    watch(&mut gallery, hall, 0, 20, &[0]);
    gallery.take_changes(usize::MAX);
    let (new, _) = gallery.split(IdentityId(1), Some("hall")).unwrap();
    gallery.forget(new).unwrap();
    let changes = gallery.take_changes(usize::MAX);
    assert_eq!(changes.moves.len(), 1);
    assert_eq!(changes.gone, [(new, Fate::Forgotten)]);
}

#[test]
fn heirs_of_heirs_inherit_at_once() {
    let mut gallery = gallery();
    gallery.configure(GalleryConfig {
        match_threshold: Some(0.999),
        ..GalleryConfig::default()
    });
    for (n, name) in ["door", "hall", "yard"].iter().enumerate() {
        let camera = gallery.attach(name, true);
        watch(&mut gallery, camera, 0, 20, &[n]);
        gallery.release(camera);
    }
    gallery.take_changes(usize::MAX);
    let (one, two, three) = (IdentityId(1), IdentityId(2), IdentityId(3));
    gallery.merge(three, two).unwrap();
    gallery.merge(two, one).unwrap();
    let changes = gallery.take_changes(usize::MAX);
    let heir = Fate::Merged(one);
    assert_eq!(changes.gone, [(two, heir), (three, heir)]);
}

#[test]
fn a_track_that_carried_a_number_by_mistake_takes_its_picture_along() {
    let mut gallery = gallery();
    let door = gallery.attach("door", true);
    watch(&mut gallery, door, 0, 20, &[0, 1]);
    let (from, into) = (IdentityId(1), IdentityId(2));
    gallery.keep_thumbnail(door, TrackId(1), 0.5, picture(100));
    let of = |track| crate::identity::visit::TrackKey {
        camera: door,
        track: TrackId(track),
    };
    gallery.note_parted(of(2), from, into);
    assert!(gallery.take_changes(usize::MAX).moves.is_empty());
    gallery.note_parted(of(1), from, into);
    let part = Part::Picture;
    let changes = gallery.take_changes(usize::MAX);
    assert_eq!(changes.moves, [Move { from, into, part }]);
    assert!(gallery.wants_thumbnail(door, TrackId(1), 0.5));
    assert!(!gallery.wants_thumbnail(door, TrackId(2), 0.5));
}

#[test]
fn what_scores_mean_is_not_learnt_anew() {
    let mut before = gallery();
    let (door, hall) = (before.attach("door", true), before.attach("hall", true));
    watch(&mut before, door, 0, 100, &[0, 1, 2]);
    watch(&mut before, hall, 0, 100, &[2, 1, 0]);
    let changes = before.take_changes(usize::MAX);
    let (strangers, selves) = changes.scales[0].scale.pairs();
    assert!(strangers > 3.0 && selves > 3.0, "{strangers} {selves}");
    let mut after = restored(&changes, WALL_NS);
    assert_eq!(after.take_changes(usize::MAX).scales, changes.scales);
    // Who is judged by it is judged as before.
    let yard = after.attach("yard", true);
    assert_eq!(watch(&mut after, yard, 0, 1, &[1, 2]), [2, 3]);
}
