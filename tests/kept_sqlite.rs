//! A gallery in a file: restarts, kills, forgetting, limits, and everything that can be wrong with a file.

mod common;
#[path = "common/crowd.rs"]
mod crowd;
#[path = "common/tracked.rs"]
mod tracked;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crowd::{Camera, Noise};
use gst::prelude::*;
use gstreid::{
    core::identity::{GalleryConfig, PROVISIONAL},
    store::{
        Location, Notice, StoreError,
        archive::{Archive, Purpose},
        registry,
    },
};

/// Where a child process keeps its gallery: set, this program is such a child.
const CHILD: &str = "GST_REID_TEST_WRITER";
const LONG: Duration = Duration::from_secs(20);

fn place(folder: &tempfile::TempDir) -> Location {
    Location::Sqlite(folder.path().join("lobby.db"))
}

fn uri(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}/lobby.db", folder.path().display())
}

fn rows(path: &Path, query: &str) -> Vec<i64> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut query = connection.prepare(query).unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_restart_knows_everybody_and_goes_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    let people: Vec<u64> = (0..5).collect();
    let mut door = Camera::open(&place(&folder), "door").unwrap();
    let before = door.visit(&people, 30);
    door.gallery
        .lock()
        .rename(gstreid::core::person::IdentityId(before[2]), "Ada")
        .unwrap();
    drop(door);
    for round in 0..3 {
        let mut hall = Camera::open(&place(&folder), "hall").unwrap();
        assert_eq!(hall.visit(&people, 30), before, "round {round}");
        let new = hall.visit(&[100 + round], 30);
        // A clean end skips no number but those of people who were pending.
        assert!(new[0] > 5 && new[0] < 40, "{new:?}");
    }
    let mut archive = Archive::open(&place(&folder), Purpose::Look).unwrap();
    let list = archive.list().unwrap();
    assert_eq!(list.len(), 8);
    assert_eq!(list[2].name.as_deref(), Some("Ada"));
    assert_eq!(list[0].cameras, ["door", "hall"]);
    let year_2026_ns = 1_767_225_600_000_000_000;
    assert!(
        list.iter()
            .all(|p| p.first_seen_ns > year_2026_ns && p.vectors > 0)
    );
}

#[test]
fn elements_keep_their_people_through_the_end_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let launch = |camera| {
        format!(
            "reidtrack gallery-location={} camera={camera}",
            uri(&folder)
        )
    };
    let first = {
        let mut door = tracked::Camera::new(&launch("door"));
        let mut hall = tracked::Camera::new(&launch("hall"));
        let first = tracked::ids(&door.frames(20, &[0, 1], true));
        assert_eq!(
            tracked::ids(&hall.frames(20, &[1, 0], true)),
            [first[1], first[0]]
        );
        first
    };
    let mut later = tracked::Camera::new(&launch("yard"));
    assert_eq!(tracked::ids(&later.frames(20, &[0, 1], true)), first);
}

/// What a killed process leaves behind. A process that the machine held up cannot write either: for as long as it once told
/// nothing, a second is prolonged. Returns how old the oldest number is that was lost.
fn check_after_kill(path: &Path, announced: &[(Instant, u32)], killed: Instant) -> Duration {
    let connection = rusqlite::Connection::open(path).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    let known: BTreeSet<i64> = rows(path, "SELECT id FROM identities")
        .into_iter()
        .collect();
    let times: Vec<Instant> = announced.iter().map(|(when, _)| *when).collect();
    let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
    let held_up = pauses.max().unwrap_or_default();
    let lost = announced
        .iter()
        .filter(|(_, id)| !known.contains(&i64::from(*id)));
    let oldest = lost.map(|(when, _)| killed.duration_since(*when)).max();
    let oldest = oldest.unwrap_or_default();
    assert!(
        oldest <= Duration::from_secs(1) + held_up,
        "lost after {oldest:?}; the longest pause was {held_up:?}"
    );
    oldest
}

/// Starts this program as a process that keeps a gallery and tells the numbers that it gives.
fn writer_process(folder: &tempfile::TempDir, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--ignored", "--nocapture"])
        .env(
            CHILD,
            format!("{}:{round}", folder.path().join("lobby.db").display()),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "not a test: the process that others kill"]
fn child_process() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (path, round) = task.rsplit_once(':').unwrap();
    let round: u64 = round.parse().unwrap();
    let mut door = Camera::open(&Location::Sqlite(path.into()), "door").unwrap();
    for n in 0..2000 {
        let found = door.visit(&[round * 10_000 + n], 15);
        println!("number {}", found[0]);
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn kills_at_any_moment_lose_no_more_than_a_second_and_repeat_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let mut noise = Noise(20_261_121);
    let mut highest = 0;
    let mut oldest = Duration::ZERO;
    for round in 0..50 {
        let mut child = writer_process(&folder, round);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut announced = Vec::new();
        // Most die young; some after several writes.
        let life = if round % 10 == 9 {
            3000
        } else {
            noise.below(250)
        };
        let mut end = None;
        while end.is_none_or(|end| Instant::now() < end) {
            let line = lines.next().expect("the child lives").unwrap();
            let Some(number) = line.strip_prefix("number ") else {
                continue;
            };
            end.get_or_insert_with(|| Instant::now() + Duration::from_millis(life));
            announced.push((Instant::now(), number.parse::<u32>().unwrap()));
        }
        let killed = Instant::now();
        child.kill().unwrap();
        child.wait().unwrap();
        // Said before it died.
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("number ") {
                announced.push((killed, number.parse().unwrap()));
            }
        }
        for (_, number) in &announced {
            assert!(
                *number > highest,
                "round {round}: P{number} was given before"
            );
            highest = *number;
        }
        oldest = oldest.max(check_after_kill(&path, &announced, killed));
    }
    println!("the oldest number that was lost was {oldest:?} old");
    let mut door = Camera::open(&place(&folder), "door").unwrap();
    assert!(door.visit(&[u64::from(u32::MAX)], 30)[0] > highest);
}

#[test]
fn a_crowd_that_outruns_the_reserved_ids_repeats_none() {
    const CROWD: u64 = 100;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let mut door = Camera::open(&place(&folder), "door").unwrap();
    // Nothing can be reserved any more.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let reserved = rows(
        &path,
        "SELECT CAST(value AS INTEGER) FROM facts WHERE name = 'next_number'",
    )[0];
    let mut given = BTreeSet::new();
    for round in 0..8 {
        let people: Vec<u64> = (round * CROWD..(round + 1) * CROWD).collect();
        given.extend(door.visit(&people, 15));
    }
    assert!(!given.contains(&0), "everybody has a number at once");
    let own: Vec<u32> = given
        .iter()
        .copied()
        .filter(|&n| n >= PROVISIONAL)
        .collect();
    let most = given.iter().filter(|&&n| n < PROVISIONAL).max().unwrap();
    // Were it killed now, the next process would begin with the first number that was not reserved.
    assert!(
        !own.is_empty() && i64::from(*most) < reserved,
        "{most} {reserved}"
    );
    other.execute_batch("COMMIT").unwrap();
    assert!(door.gallery.flush(LONG));
    let list = door.gallery.lock().list();
    assert!(list.iter().all(|p| p.id.0 < PROVISIONAL));
    let former: BTreeSet<u32> = list
        .iter()
        .flat_map(|p| p.previous.iter())
        .map(|p| p.0)
        .collect();
    // All but those who were gone before anybody knew how they look.
    let replaced = own.iter().filter(|number| former.contains(number));
    assert!(replaced.count() > own.len() / 2);
    let next = rows(
        &path,
        "SELECT CAST(value AS INTEGER) FROM facts WHERE name = 'next_number'",
    )[0];
    assert!(list.iter().all(|p| i64::from(p.id.0) < next));
}

/// How many of the pieces (16 bytes each) of `vector` the gallery's files hold.
fn traces(folder: &tempfile::TempDir, vectors: &[Vec<u8>]) -> usize {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        all.extend(fs::read(entry.unwrap().path()).unwrap());
    }
    let windows: std::collections::HashSet<&[u8]> = all.windows(16).collect();
    let pieces = vectors.iter().flat_map(|vector| vector.chunks_exact(16));
    pieces.filter(|piece| windows.contains(*piece)).count()
}

fn vectors_of(path: &Path, id: u32) -> Vec<Vec<u8>> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut query = connection
        .prepare("SELECT vector FROM prototypes WHERE id = ?1")
        .unwrap();
    let rows = query.query_map([id], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn forgetting_leaves_no_byte_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let mut door = Camera::open(&place(&folder), "door").unwrap();
    let mut seen = Vec::new();
    let mut found = Vec::new();
    // Every state that the person's vectors ever had in the files.
    for round in 0..6 {
        found = door.visit(&[1, 2, 3 + round], 20);
        assert!(door.gallery.flush(LONG));
        seen.extend(vectors_of(&path, found[0]));
    }
    assert!(
        traces(&folder, &seen) > 0,
        "the test looks for the right thing"
    );
    door.gallery
        .lock()
        .forget(gstreid::core::person::IdentityId(found[0]))
        .unwrap();
    assert!(door.gallery.flush(LONG));
    assert_eq!(traces(&folder, &seen), 0);
    let of = |table: &str| {
        rows(
            &path,
            &format!("SELECT count(*) FROM {table} WHERE id = {}", found[0]),
        )
    };
    for table in ["identities", "prototypes", "sightings", "former_numbers"] {
        assert_eq!(of(table), [0], "{table}");
    }
    // Nobody else was touched.
    assert!(!vectors_of(&path, found[1]).is_empty());
}

#[test]
fn what_scores_mean_outlives_restarts_and_goes_with_the_last_person() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let learnt = || -> Vec<String> {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let mut query = connection
            .prepare("SELECT value FROM facts WHERE name = 'scale'")
            .unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let ids = {
        let mut door = Camera::open(&place(&folder), "door").unwrap();
        door.visit(&[1, 2, 3], 60)
    };
    let before = learnt();
    assert_eq!(before.len(), 1);
    {
        let door = Camera::open(&place(&folder), "door").unwrap();
        let id = gstreid::core::person::IdentityId(ids[0]);
        door.gallery.lock().rename(id, "Ada").unwrap();
    }
    // Written again as it was read.
    let number = |text: &str, which: &str, what: &str| -> f64 {
        let scale: serde_json::Value = serde_json::from_str(text).unwrap();
        scale[which][what].as_f64().unwrap()
    };
    let after = learnt();
    for (which, what) in [
        ("impostors", "weight"),
        ("impostors", "mean"),
        ("genuine", "mean"),
    ] {
        let [old, new] = [&before[0], &after[0]].map(|text| number(text, which, what));
        assert!((old - new).abs() < 1e-9, "{which} {what}: {old} {new}");
    }
    let mut archive = Archive::open(&place(&folder), Purpose::Correct).unwrap();
    for id in ids {
        assert_eq!(learnt().len(), 1);
        archive.forget(id).unwrap();
    }
    assert!(learnt().is_empty());
    drop(archive);
    // Nobody is left whom another model's vectors could be compared with.
    let mut camera = tracked::Camera::new(&format!("reidtrack gallery-location={}", uri(&folder)));
    tracked::ids(&camera.frames(20, &[0], true));
    drop(camera);
    assert_eq!(learnt().len(), 1);
}

#[test]
fn the_signal_forget_waits_for_the_disk_and_so_does_reidctl() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let mut camera = tracked::Camera::new(&format!("reidtrack gallery-location={}", uri(&folder)));
    let ids = tracked::ids(&camera.frames(20, &[0, 1], true));
    registry::open("", &place(&folder), GalleryConfig::default())
        .unwrap()
        .flush(LONG);
    let mut traces_of = vectors_of(&path, ids[0]);
    // People of this test share numbers; what is this one's own has other neighbours.
    let others: BTreeSet<Vec<u8>> = vectors_of(&path, ids[1])
        .iter()
        .flat_map(|v| v.chunks_exact(16).map(<[u8]>::to_vec))
        .collect();
    traces_of = traces_of
        .iter()
        .flat_map(|v| v.chunks_exact(16).map(<[u8]>::to_vec))
        .filter(|piece| !others.contains(piece))
        .collect();
    assert!(traces(&folder, &traces_of) > 0);
    assert!(camera.element().emit_by_name::<bool>("forget", &[&ids[0]]));
    assert_eq!(traces(&folder, &traces_of), 0);
    drop(camera);
    let mut archive = Archive::open(&place(&folder), Purpose::Correct).unwrap();
    archive.forget(ids[1]).unwrap();
    assert!(archive.list().unwrap().is_empty());
}

/// Frames of noise, so that every picture is one of its kind, with these people in them.
fn noisy_frames(camera: &mut tracked::Camera, count: usize, who: &[usize]) -> Vec<u32> {
    let mut last = Vec::new();
    for _ in 0..count {
        let people = who.iter().map(|&p| tracked::person(p, true)).collect();
        let mut buffer = camera.buffer(Some(people));
        let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
        let writable = buffer.get_mut().unwrap();
        let mut pixels = writable.map_writable().unwrap();
        pixels
            .iter_mut()
            .for_each(|p| *p = (128.0 + 127.0 * noise.next()) as u8);
        drop(pixels);
        let out = camera.harness.push_and_pull(buffer).unwrap();
        let people = out.meta::<gstreid::media::PeopleMeta>().unwrap();
        last = tracked::ids(people.people());
    }
    last
}

/// The camera of `tests/common/tracked.rs` with pictures, and the numbers of those whom it sees.
fn pictured(folder: &tempfile::TempDir, who: &[usize]) -> (tracked::Camera, Vec<u32>) {
    let launch = format!(
        "reidtrack thumbnails=true gallery-location={} max-identities=2 camera=door",
        uri(folder)
    );
    let mut camera = tracked::Camera::new(&launch);
    let mut ids = noisy_frames(&mut camera, 20, who);
    ids.sort_unstable();
    let shared = registry::open("", &place(folder), GalleryConfig::default()).unwrap();
    shared.lock().configure(GalleryConfig {
        max_identities: 2,
        ..GalleryConfig::default()
    });
    assert!(shared.flush(LONG));
    (camera, ids)
}

#[test]
fn thumbnails_are_off_unless_asked_for_and_need_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut camera = tracked::Camera::new(&format!("reidtrack gallery-location={}", uri(&folder)));
    noisy_frames(&mut camera, 20, &[0]);
    drop(camera);
    let count = "SELECT count(*) FROM thumbnails";
    assert_eq!(rows(&folder.path().join("lobby.db"), count), [0]);
    let mut archive = Archive::open(&place(&folder), Purpose::Look).unwrap();
    let refused = archive.thumbnail(1).unwrap_err().to_string();
    assert!(refused.contains("thumbnails=true"), "{refused}");

    let element = gst::ElementFactory::make("reidtrack")
        .property("thumbnails", true)
        .build()
        .unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    element.set_state(gst::State::Null).unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("filtered")
    };
    let text = error.error().to_string();
    assert!(text.contains("gallery-location"), "{text}");
}

#[test]
fn a_thumbnail_shows_the_person_and_forgetting_leaves_no_byte_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (camera, ids) = pictured(&folder, &[0, 1]);
    let mut archive = Archive::open(&place(&folder), Purpose::Look).unwrap();
    let jpegs: Vec<Vec<u8>> = ids
        .iter()
        .map(|&id| archive.thumbnail(id).unwrap())
        .collect();
    let decoded = image::load_from_memory(&jpegs[0]).unwrap();
    // 60 x 150 px, made to fit.
    assert_eq!((decoded.width(), decoded.height()), (51, 128));
    let file = folder.path().join("out.jpg");
    let mut command = common::reidctl();
    command.args([
        "gallery",
        "thumbnail",
        &uri(&folder),
        &format!("P{}", ids[0]),
    ]);
    command.arg(&file);
    common::run_well(command, LONG);
    assert_eq!(fs::read(&file).unwrap(), jpegs[0]);
    fs::remove_file(&file).unwrap();
    // Tables are alike in all files of this kind; the pixels are not.
    let common: BTreeSet<&[u8]> = jpegs[1].windows(16).collect();
    let own: Vec<Vec<u8>> = jpegs[0]
        .chunks_exact(16)
        .filter(|piece| !common.contains(piece))
        .map(<[u8]>::to_vec)
        .collect();
    assert!(own.len() > 50 && traces(&folder, &own) == own.len());
    assert!(camera.element().emit_by_name::<bool>("forget", &[&ids[0]]));
    assert_eq!(traces(&folder, &own), 0);
    assert!(archive.thumbnail(ids[1]).is_ok());
}

#[test]
fn the_better_thumbnail_survives_a_merge_and_none_survives_its_person() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let (mut camera, ids) = pictured(&folder, &[0, 1]);
    let kept = || rows(&path, "SELECT id FROM thumbnails ORDER BY id");
    assert_eq!(kept(), [i64::from(ids[0]), i64::from(ids[1])]);
    // Two more crowd them out: pictures go with their people.
    noisy_frames(&mut camera, 200, &[]);
    let mut more = noisy_frames(&mut camera, 20, &[2, 3]);
    more.sort_unstable();
    let shared = registry::open(
        "",
        &place(&folder),
        GalleryConfig {
            max_identities: 2,
            ..GalleryConfig::default()
        },
    );
    assert!(shared.unwrap().flush(LONG));
    assert_eq!(kept(), [i64::from(more[0]), i64::from(more[1])]);
    drop(camera);
    let change = |sql: &str| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute(sql, [i64::from(more[1])]).unwrap();
    };
    change("UPDATE thumbnails SET quality = 0.999 WHERE id = ?1");
    let mut archive = Archive::open(&place(&folder), Purpose::Correct).unwrap();
    let better = archive.thumbnail(more[1]).unwrap();
    archive.merge(more[1], more[0]).unwrap();
    assert_eq!(archive.thumbnail(more[0]).unwrap(), better);
    assert_eq!(kept(), [i64::from(more[0])]);
    archive.forget(more[0]).unwrap();
    assert!(kept().is_empty());
}

#[test]
fn a_file_of_the_first_layout_is_brought_to_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let before = Camera::open(&place(&folder), "door")
        .unwrap()
        .visit(&[1, 2], 30);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TABLE thumbnails; PRAGMA user_version = 1")
        .unwrap();
    let mut archive = Archive::open(&place(&folder), Purpose::Look).unwrap();
    assert!(archive.thumbnail(before[0]).is_err());
    drop(archive);
    let mut door = Camera::open(&place(&folder), "door").unwrap();
    assert_eq!(door.visit(&[1, 2], 30), before);
    assert!(rows(&path, "SELECT id FROM thumbnails").is_empty());
}

#[test]
fn limits_hold_on_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let config = GalleryConfig {
        max_identities: 5,
        ..GalleryConfig::default()
    };
    let mut door = Camera::with(&place(&folder), "door", config).unwrap();
    let ids: Vec<u32> = (0..12).map(|p| door.visit(&[p], 20)[0]).collect();
    assert!(door.gallery.flush(LONG));
    let kept: Vec<i64> = ids[7..].iter().map(|&id| i64::from(id)).collect();
    assert_eq!(rows(&path, "SELECT id FROM identities ORDER BY id"), kept);
    assert_eq!(
        rows(&path, "SELECT DISTINCT id FROM prototypes ORDER BY id"),
        kept
    );
    drop(door);
    // Opened an age later: everybody is too old.
    let year_ns = 365 * 86_400 * 1_000_000_000_i64;
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute(
            "UPDATE identities SET last_seen = last_seen - ?1",
            [year_ns],
        )
        .unwrap();
    let config = GalleryConfig {
        max_age_ns: Some(86_400_000_000_000),
        ..GalleryConfig::default()
    };
    let door = Camera::with(&place(&folder), "door", config).unwrap();
    assert!(door.gallery.lock().is_empty());
    assert!(door.gallery.flush(LONG));
    assert!(rows(&path, "SELECT id FROM identities").is_empty());
}

#[test]
fn a_lock_of_another_program_stops_nothing_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let mut door = Camera::open(&place(&folder), "door").unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ids = door.visit(&[1, 2, 3], 30);
    assert!(!door.gallery.flush(Duration::from_secs(4)));
    let told = door.gallery.notices();
    assert!(
        matches!(told[..], [Notice::Trouble(StoreError::Locked { .. })]),
        "{told:?}"
    );
    door.visit(&[4], 30);
    other.execute_batch("COMMIT").unwrap();
    assert!(door.gallery.flush(LONG));
    assert_eq!(door.gallery.notices(), [Notice::Recovered]);
    let kept = rows(&path, "SELECT id FROM identities ORDER BY id");
    assert_eq!(kept.len(), 4);
    assert!(ids.iter().all(|&id| kept.contains(&i64::from(id))));
}

#[test]
fn a_write_that_fails_stops_nothing_and_the_writer_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobby.db");
    let mut door = Camera::open(&place(&folder), "door").unwrap();
    door.visit(&[1], 30);
    assert!(door.gallery.flush(LONG));
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TRIGGER broken BEFORE INSERT ON identities BEGIN SELECT RAISE(ABORT, 'no room'); END")
        .unwrap();
    let ids: Vec<u32> = (2..8).map(|p| door.visit(&[p], 30)[0]).collect();
    assert!(!door.gallery.flush(Duration::from_secs(2)));
    assert!(matches!(door.gallery.notices()[..], [Notice::Trouble(_)]));
    other.execute_batch("DROP TRIGGER broken").unwrap();
    assert!(door.gallery.flush(LONG));
    let kept = rows(&path, "SELECT id FROM identities ORDER BY id");
    assert!(
        ids.iter().all(|&id| kept.contains(&i64::from(id))),
        "{ids:?} {kept:?}"
    );
}

/// The error that `reidtrack` posts when it starts with a gallery there.
fn start_error(location: &str) -> String {
    tracked::init();
    let element = gst::ElementFactory::make("reidtrack")
        .property("gallery-location", location)
        .build()
        .unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err(), "{location}");
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    element.set_state(gst::State::Null).unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("filtered")
    };
    error.error().to_string()
}

#[test]
fn whatever_is_wrong_with_the_file_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::write(
        file("text.db"),
        "not a database, though it is long enough to be read as one",
    )
    .unwrap();
    rusqlite::Connection::open(file("other.db"))
        .unwrap()
        .execute_batch("CREATE TABLE recipes (name TEXT)")
        .unwrap();
    let location = Location::Sqlite(file("future.db"));
    drop(Camera::open(&location, "door").unwrap());
    rusqlite::Connection::open(file("future.db"))
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let location = Location::Sqlite(file("damaged.db"));
    Camera::open(&location, "door")
        .unwrap()
        .visit(&(0..30).collect::<Vec<u64>>(), 30);
    // Not the first page: that one says whose file it is.
    let mut bytes = fs::read(file("damaged.db")).unwrap();
    bytes[8192..].fill(0xAA);
    fs::write(file("damaged.db"), bytes).unwrap();
    for (name, expected) in [
        ("missing/lobby.db", "the folder does not exist"),
        ("text.db", "is not a gallery"),
        ("other.db", "is not a gallery"),
        ("future.db", "update the plugin"),
        ("damaged.db", "is damaged"),
    ] {
        let message = start_error(&format!("sqlite://{}", file(name).display()));
        assert!(
            message.contains(expected) && message.contains(name),
            "{name}: {message}"
        );
    }
    // Whoever may write nothing may look all the same.
    let location = Location::Sqlite(file("look.db"));
    Camera::open(&location, "door").unwrap().visit(&[1], 30);
    fs::set_permissions(file("look.db"), fs::Permissions::from_mode(0o444)).unwrap();
    let mut archive = Archive::open(&location, Purpose::Look).unwrap();
    assert_eq!(archive.list().unwrap().len(), 1);
    // Nothing of another program was changed.
    assert_eq!(rows(&file("other.db"), "PRAGMA user_version"), [0]);
}

#[test]
fn a_file_serves_one_process_and_others_may_look() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = writer_process(&folder, 0);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().starts_with("number") {}
    let message = start_error(&uri(&folder));
    let pid = child.id().to_string();
    assert!(
        message.contains("another process") && message.contains(&pid),
        "{message}"
    );
    let end = Instant::now() + LONG;
    let mut archive = Archive::open(&place(&folder), Purpose::Look).unwrap();
    while archive.list().unwrap().is_empty() {
        assert!(Instant::now() < end, "nothing is written");
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = Archive::open(&place(&folder), Purpose::Correct)
        .err()
        .unwrap();
    assert!(matches!(refused, StoreError::InUse { .. }));
    child.kill().unwrap();
    child.wait().unwrap();
    Archive::open(&place(&folder), Purpose::Correct).unwrap();
}

#[test]
fn a_gallery_of_another_model_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    Camera::open(&place(&folder), "door")
        .unwrap()
        .visit(&[1], 30);
    // These people's vectors are of model 5.
    let mut camera = tracked::Camera::new(&format!("reidtrack gallery-location={}", uri(&folder)));
    let bus = gst::Bus::new();
    camera.element().set_bus(Some(&bus));
    let buffer = camera.buffer(Some(vec![tracked::person(0, true)]));
    assert_eq!(camera.harness.push(buffer), Err(gst::FlowError::Error));
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("filtered")
    };
    let text = error.error().to_string();
    for part in [
        "000000000000004d",
        "0000000000000005",
        "another gallery-location",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_archive_is_corrected_by_the_gallerys_own_rules() {
    let folder = tempfile::tempdir().unwrap();
    let config = GalleryConfig {
        match_threshold: Some(0.999),
        ..GalleryConfig::default()
    };
    let (first, second) = {
        let mut door = Camera::with(&place(&folder), "door", config.clone()).unwrap();
        let mut hall = Camera::with(&place(&folder), "hall", config).unwrap();
        (door.visit(&[1], 30)[0], hall.visit(&[2], 30)[0])
    };
    let correct = || Archive::open(&place(&folder), Purpose::Correct).unwrap();
    correct().rename(first, "Ada").unwrap();
    correct().merge(second, first).unwrap();
    let error = correct().show(second).unwrap_err().to_string();
    assert_eq!(error, format!("P{second} is P{first} now, after a merge"));
    let (person, sightings) = correct().show(first).unwrap();
    assert_eq!(
        (person.name.as_deref(), person.previous_ids),
        (Some("Ada"), vec![second])
    );
    assert_eq!(sightings.len(), 2, "{sightings:?}");
    let new = correct().split(first, None).unwrap();
    assert!(new > first.max(second));
    let vectors: Vec<u32> = correct()
        .list()
        .unwrap()
        .iter()
        .map(|p| p.vectors)
        .collect();
    assert!(
        vectors.len() == 2 && vectors.iter().all(|&v| v > 0),
        "{vectors:?}"
    );
    assert!(correct().split(first, Some("nowhere")).is_err());
    assert!(correct().forget(9999).is_err());
    correct().forget(new).unwrap();
    assert_eq!(correct().list().unwrap().len(), 1);
    let mut command = common::reidctl();
    command.args([
        "gallery",
        "show",
        &uri(&folder),
        &format!("P{first}"),
        "--json",
    ]);
    let output = common::run_well(command, LONG);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["person"]["name"], "Ada");
    assert_eq!(shown["sightings"][0]["camera"], "door");
    // A gallery that was never there is not made.
    let nowhere = Location::Sqlite(folder.path().join("nowhere.db"));
    let missing = Archive::open(&nowhere, Purpose::Correct).err().unwrap();
    assert!(matches!(missing, StoreError::Missing { .. }));
}

#[test]
fn a_split_by_camera_takes_what_the_camera_saw_along() {
    let folder = tempfile::tempdir().unwrap();
    let config = GalleryConfig {
        match_threshold: Some(0.999),
        ..GalleryConfig::default()
    };
    let mut door = Camera::with(&place(&folder), "door", config.clone()).unwrap();
    let mut hall = Camera::with(&place(&folder), "hall", config).unwrap();
    let (first, second) = (door.visit(&[1], 30)[0], hall.visit(&[2], 30)[0]);
    let [first_id, second_id] = [first, second].map(gstreid::core::person::IdentityId);
    let cameras = |id: u32| -> Vec<String> {
        let mut archive = Archive::open(&place(&folder), Purpose::Look).unwrap();
        let (_, sightings) = archive.show(id).unwrap();
        sightings.into_iter().map(|s| s.camera).collect()
    };
    // While it is kept: written, merged, and split again at once.
    assert!(door.gallery.flush(LONG));
    let new = {
        let mut gallery = door.gallery.lock();
        gallery.merge(second_id, first_id).unwrap();
        gallery.split(first_id, Some("hall")).unwrap().0.0
    };
    assert!(door.gallery.flush(LONG));
    assert_eq!(
        (cameras(first), cameras(new)),
        (vec!["door".into()], vec!["hall".into()])
    );
    drop((door, hall));
    // And from outside.
    let mut archive = Archive::open(&place(&folder), Purpose::Correct).unwrap();
    archive.merge(new, first).unwrap();
    assert_eq!(cameras(first), ["door", "hall"]);
    let new = archive.split(first, Some("hall")).unwrap();
    assert_eq!(
        (cameras(first), cameras(new)),
        (vec!["door".into()], vec!["hall".into()])
    );
}
