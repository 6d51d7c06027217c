//! A gallery on a server: processes that agree, servers that go away and return, users who may do little.

#[path = "common/crowd.rs"]
mod crowd;
#[path = "common/server.rs"]
mod server;
#[path = "common/tracked.rs"]
mod tracked;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use crowd::Camera;
use gst::prelude::*;
use gstreid::{
    core::{
        identity::{GalleryConfig, PROVISIONAL},
        person::IdentityId,
    },
    store::{
        Location, Notice, StoreError,
        archive::{Archive, Purpose},
    },
};
use server::{PASSWORD, Server};

/// Where a child process keeps its gallery: set, this program is such a child.
const CHILD: &str = "GST_REID_TEST_SHARER";
const LONG: Duration = Duration::from_secs(30);

fn location(uri: &str) -> Location {
    Location::parse(uri).unwrap()
}

/// The same database, as another process would see it: another location for the list of open ones.
fn neighbour(uri: &str, name: &str) -> String {
    format!("{uri}?application_name={name}")
}

/// Tries until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process with eight cameras; it shows whom it is told to.
struct Process {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(uri: &str, name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--ignored", "--nocapture"])
            .env(CHILD, format!("{name} {uri}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self {
            child,
            input,
            lines,
        };
        process.answer();
        process
    }

    fn ask(&mut self, task: &str) {
        writeln!(self.input, "{task}").unwrap();
    }

    /// The numbers that its cameras see.
    fn answer(&mut self) -> BTreeSet<u32> {
        loop {
            let line = self.lines.next().expect("the child lives").unwrap();
            if let Some(numbers) = line.strip_prefix("sees") {
                return numbers
                    .split_whitespace()
                    .map(|n| n.parse().unwrap())
                    .collect();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "not a test: the process that others talk to"]
fn child_process() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (name, uri) = task.split_once(' ').unwrap();
    let mut cameras: Vec<Camera> = (0..8)
        .map(|i| Camera::open(&location(uri), &format!("{name}{i}")).unwrap())
        .collect();
    println!("sees");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let mut numbers = BTreeSet::new();
        for camera in &mut cameras {
            if let Some(person) = line.strip_prefix("meet ") {
                camera.leave();
                numbers.extend(camera.arrive(&[person.parse().unwrap()], 20));
            } else {
                numbers.extend(camera.stay());
            }
        }
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        println!("sees {}", numbers.join(" "));
    }
}

#[test]
fn two_processes_and_sixteen_cameras_agree_a_hundred_times() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = server.database();
    let uri = server.uri(&database);
    let mut one = Process::start(&uri, "a");
    let mut two = Process::start(&uri, "b");
    let mut disagreed = 0;
    let mut all = BTreeSet::new();
    for person in 0..100 {
        for process in [&mut one, &mut two] {
            process.ask(&format!("meet {person}"));
        }
        let mut seen = [one.answer(), two.answer()];
        disagreed += usize::from(seen[0] != seen[1]);
        let end = Instant::now() + LONG;
        while seen[0] != seen[1] || seen[0].len() != 1 {
            assert!(Instant::now() < end, "person {person}: {seen:?}");
            std::thread::sleep(Duration::from_millis(10));
            one.ask("look");
            two.ask("look");
            seen = [one.answer(), two.answer()];
        }
        let number = *seen[0].first().unwrap();
        assert!(
            all.insert(number),
            "person {person} has the number of another, {number}"
        );
    }
    assert!(
        disagreed > 50,
        "both met the person at once in only {disagreed} of 100 rounds"
    );
    let kept = server.numbers(&database, "SELECT id FROM reid_identities");
    let kept: BTreeSet<u32> = kept.iter().map(|&id| id as u32).collect();
    // An id may have become an older one of the same person since, as the server says; nobody is lost or another's.
    let heir = |id: u32| {
        let sql = format!("SELECT heir FROM reid_departed WHERE id = {id} AND heir IS NOT NULL");
        server.numbers(&database, &sql).first().map(|&id| id as u32)
    };
    let newest = |id: &u32| std::iter::successors(Some(*id), |&id| heir(id)).last();
    let now: BTreeSet<u32> = all.iter().filter_map(newest).collect();
    assert_eq!(now.len(), all.len(), "two people became one: {all:?}");
    assert_eq!(kept, now);
    println!("{disagreed} of 100 people had two numbers at first");
}

#[test]
fn a_server_that_goes_away_and_returns_stops_no_pipeline() {
    let Some(server) = Server::start() else {
        return;
    };
    let uri = server.uri("postgres");
    let launch = |name: &str| {
        format!(
            "reidtrack camera={name} gallery-location=\"{}\"",
            neighbour(&uri, name)
        )
    };
    let mut door = tracked::Camera::new(&launch("door"));
    let mut hall = tracked::Camera::new(&launch("hall"));
    let buses: Vec<gst::Bus> = [&door, &hall]
        .map(|camera| {
            let bus = gst::Bus::new();
            camera.element().set_bus(Some(&bus));
            bus
        })
        .into();
    let mut before = Vec::new();
    until("both know the same people", || {
        before = tracked::ids(&door.frames(5, &[0, 1], true));
        tracked::ids(&hall.frames(5, &[0, 1], true)) == before
    });
    // What was flushed until now.
    buses.iter().for_each(|bus| bus.set_flushing(true));
    buses.iter().for_each(|bus| bus.set_flushing(false));
    server.stop();
    let outage = std::env::var("GST_REID_TEST_OUTAGE_S")
        .ok()
        .and_then(|s| s.parse().ok());
    let end = Instant::now() + Duration::from_secs(outage.unwrap_or(3));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    while Instant::now() < end {
        ours = tracked::ids(&door.frames(1, &[0, 1, 2], true));
        theirs = tracked::ids(&hall.frames(1, &[0, 1, 2], true));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((&ours[..2], &theirs[..2]), (&before[..], &before[..]));
    assert_ne!(ours[2], theirs[2], "nobody could agree on the newcomer");
    server.run();
    until("both agree on the newcomer", || {
        ours = tracked::ids(&door.frames(1, &[0, 1, 2], true));
        theirs = tracked::ids(&hall.frames(1, &[0, 1, 2], true));
        ours == theirs
    });
    assert_eq!(ours[..2], before[..]);
    let told = |name: &str| -> usize {
        let of = |bus: &gst::Bus| {
            bus.iter()
                .filter(|m| m.structure().is_some_and(|s| s.name() == name))
                .count()
        };
        buses.iter().map(of).sum()
    };
    assert_eq!(told("reid-identity-merged"), 1);
    drop((door, hall));
    let mut archive = Archive::open(&location(&uri), Purpose::Look).unwrap();
    assert_eq!(archive.list().unwrap().len(), 3);
}

#[test]
fn an_outage_is_told_once_and_so_is_its_end() {
    let Some(server) = Server::start() else {
        return;
    };
    let uri = server.uri("postgres");
    let mut door = Camera::open(&location(&uri), "door").unwrap();
    door.visit(&[1], 20);
    assert!(door.gallery.flush(LONG));
    server.stop();
    let mut told = Vec::new();
    until("trouble is told", || {
        told.extend(door.gallery.notices());
        !told.is_empty()
    });
    assert!(
        matches!(told[..], [Notice::Trouble(StoreError::Unreachable { .. })]),
        "{told:?}"
    );
    std::thread::sleep(Duration::from_millis(1500));
    assert!(door.gallery.notices().is_empty());
    server.run();
    assert!(door.gallery.flush(LONG));
    assert_eq!(door.gallery.notices(), [Notice::Recovered]);
}

#[test]
fn a_server_that_is_down_at_the_start_is_waited_for() {
    let Some(server) = Server::start() else {
        return;
    };
    let uri = server.uri("postgres");
    let first = Camera::open(&location(&uri), "door")
        .unwrap()
        .visit(&[1, 2], 20);
    server.stop();
    let later = location(&neighbour(&uri, "later"));
    let mut hall = Camera::open(&later, "hall").unwrap();
    let provisional = hall.arrive(&[1, 2, 3], 20);
    assert!(
        provisional.iter().all(|&id| id >= PROVISIONAL),
        "{provisional:?}"
    );
    server.run();
    until("numbers are replaced", || {
        hall.stay().iter().all(|&id| id < PROVISIONAL)
    });
    let numbers = hall.stay();
    assert_eq!(numbers[..2], first[..], "those whom the server knew");
    let carried = hall.gallery.lock().list();
    let newcomer = carried.iter().find(|p| p.id.0 == numbers[2]).unwrap();
    assert_eq!(*newcomer.previous, [IdentityId(provisional[2])]);
}

#[test]
fn corrections_reach_running_pipelines() {
    let Some(server) = Server::shared() else {
        return;
    };
    let uri = server.uri(&server.database());
    let mut door = Camera::open(&location(&uri), "door").unwrap();
    let ids = door.arrive(&[1, 2], 20);
    assert!(door.gallery.flush(LONG));
    let mut archive = Archive::open(&location(&uri), Purpose::Correct).unwrap();
    archive.rename(ids[0], "Ada").unwrap();
    until("the name arrives", || {
        let list = door.gallery.lock().list();
        list.iter().any(|p| p.name.as_deref() == Some("Ada"))
    });
    archive.forget(ids[1]).unwrap();
    until("the person is gone", || !door.stay().contains(&ids[1]));
    assert!(door.gallery.flush(LONG));
    let kept: Vec<u32> = archive.list().unwrap().iter().map(|p| p.id).collect();
    assert!(
        kept.contains(&ids[0]) && !kept.contains(&ids[1]),
        "{kept:?}"
    );
    assert_eq!(archive.show(ids[0]).unwrap().1.len(), 1);
    let shown = archive.show(ids[1]).unwrap_err().to_string();
    assert!(shown.contains("knows no"), "{shown}");
    // What one process is told to forget, all forget.
    let mut hall = Camera::open(&location(&neighbour(&uri, "hall")), "hall").unwrap();
    assert_eq!(hall.arrive(&[1], 20), [ids[0]]);
    hall.gallery.lock().forget(IdentityId(ids[0])).unwrap();
    until("all forget", || !door.stay().contains(&ids[0]));
}

#[test]
fn a_split_by_camera_takes_what_the_camera_saw_along() {
    let Some(server) = Server::shared() else {
        return;
    };
    let uri = server.uri(&server.database());
    let config = GalleryConfig {
        match_threshold: Some(0.999),
        ..GalleryConfig::default()
    };
    let mut door = Camera::with(&location(&uri), "door", config.clone()).unwrap();
    let mut hall = Camera::with(&location(&uri), "hall", config).unwrap();
    let (first, second) = (door.visit(&[1], 20)[0], hall.visit(&[2], 20)[0]);
    let [first_id, second_id] = [first, second].map(IdentityId);
    assert!(door.gallery.flush(LONG));
    let new = {
        let mut gallery = door.gallery.lock();
        gallery.merge(second_id, first_id).unwrap();
        gallery.split(first_id, Some("hall")).unwrap().0.0
    };
    assert!(door.gallery.flush(LONG));
    drop((door, hall));
    let mut archive = Archive::open(&location(&uri), Purpose::Correct).unwrap();
    let cameras = |archive: &mut Archive, id: u32| -> Vec<String> {
        let (_, sightings) = archive.show(id).unwrap();
        sightings.into_iter().map(|s| s.camera).collect()
    };
    assert_eq!(cameras(&mut archive, first), ["door"]);
    assert_eq!(cameras(&mut archive, new), ["hall"]);
    archive.merge(new, first).unwrap();
    assert_eq!(cameras(&mut archive, first), ["door", "hall"]);
    let new = archive.split(first, Some("hall")).unwrap();
    assert_eq!(cameras(&mut archive, first), ["door"]);
    assert_eq!(cameras(&mut archive, new), ["hall"]);
}

#[test]
fn thumbnails_are_kept_merged_and_erased_with_their_people() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = server.database();
    let uri = server.uri(&database);
    let mut camera = tracked::Camera::new(&format!(
        "reidtrack thumbnails=true gallery-location=\"{uri}\""
    ));
    let ids = tracked::ids(&camera.frames(20, &[0, 1, 2], true));
    drop(camera);
    let mut archive = Archive::open(&location(&uri), Purpose::Correct).unwrap();
    for &id in &ids {
        assert_eq!(archive.thumbnail(id).unwrap()[..2], [0xff, 0xd8]);
    }
    server.execute(
        &database,
        &format!(
            "UPDATE reid_thumbnails SET quality = 0.999, jpeg = '\\x01' WHERE id = {}",
            ids[1]
        ),
    );
    archive.merge(ids[1], ids[0]).unwrap();
    assert_eq!(archive.thumbnail(ids[0]).unwrap(), [1]);
    archive.forget(ids[0]).unwrap();
    let kept = server.numbers(&database, "SELECT id FROM reid_thumbnails");
    assert_eq!(kept, [ids[2] as i32]);
}

/// How many of the pieces of 16 bytes lie in the files of a database's tables.
fn traces(server: &Server, database: &str, pieces: &BTreeSet<Vec<u8>>) -> usize {
    server.execute(database, "CHECKPOINT");
    let own = "SELECT oid::int FROM pg_database WHERE datname = current_database()";
    let folder = server.numbers(database, own)[0].to_string();
    let files = fs::read_dir(server.settings().join("base").join(folder)).unwrap();
    let mut found = BTreeSet::new();
    for file in files.map(Result::unwrap) {
        // The server may have removed it meanwhile.
        let bytes = fs::read(file.path()).unwrap_or_default();
        let here = |piece: &&[u8]| pieces.contains(*piece);
        found.extend(bytes.windows(16).filter(here).map(<[u8]>::to_vec));
    }
    found.len()
}

#[test]
fn forgetting_leaves_no_byte_in_the_tables() {
    // Its own: transactions of other tests keep what they may still see.
    let Some(server) = Server::start() else {
        return;
    };
    let database = server.database();
    let uri = server.uri(&database);
    let mut door = Camera::open(&location(&uri), "door").unwrap();
    let vectors_of = |id: u32| -> BTreeSet<Vec<u8>> {
        let mut session = server.session(&database).unwrap();
        let sql = format!("SELECT vector FROM reid_prototypes WHERE id = {id}");
        let rows = session.query(&sql, &[]).unwrap();
        rows.iter()
            .map(|row| row.get::<_, Vec<u8>>(0)[..16].to_vec())
            .collect()
    };
    let (mut seen, mut ids) = (BTreeSet::new(), Vec::new());
    for round in 0..4 {
        ids = door.visit(&[1, 2, 3 + round], 20);
        assert!(door.gallery.flush(LONG));
        seen.extend(vectors_of(ids[0]));
    }
    assert!(
        traces(&server, &database, &seen) > 0,
        "the test looks for the right thing"
    );
    // What somebody does elsewhere on the server does not keep them.
    let mut elsewhere = server.session("postgres").unwrap();
    let begin = "BEGIN; CREATE TABLE unfinished (n int)";
    elsewhere.batch_execute(begin).unwrap();
    door.gallery.lock().forget(IdentityId(ids[0])).unwrap();
    assert!(door.gallery.flush(LONG));
    // Looking at once would keep them for as long as that takes.
    std::thread::sleep(Duration::from_secs(2));
    until("a pipeline's forgetting", || {
        traces(&server, &database, &seen) == 0
    });
    drop(door);

    let seen = vectors_of(ids[1]);
    assert!(traces(&server, &database, &seen) > 0);
    let mut archive = Archive::open(&location(&uri), Purpose::Correct).unwrap();
    archive.forget(ids[1]).unwrap();
    assert_eq!(traces(&server, &database, &seen), 0);
}

/// What the thread that keeps a gallery has to tell, as text.
fn told(camera: &Camera) -> String {
    let notices = camera.gallery.notices();
    let texts: Vec<String> = notices
        .iter()
        .map(|notice| match notice {
            Notice::Trouble(error) => error.to_string(),
            Notice::Recovered => "recovered".into(),
        })
        .collect();
    texts.join("\n")
}

#[test]
fn what_is_not_yet_erased_is_said_until_it_is() {
    // Its own: transactions of other tests keep what they may still see.
    let Some(server) = Server::start() else {
        return;
    };
    let database = server.database();
    let uri = server.uri(&database);
    let mut door = Camera::open(&location(&uri), "door").unwrap();
    let ids = door.visit(&[1, 2, 3], 20);
    assert!(door.gallery.flush(LONG));
    assert_eq!(told(&door), "");
    // Somebody reads the vectors, and still does when two people are forgotten.
    let mut reader = server.session(&database).unwrap();
    let read = "BEGIN; SELECT * FROM reid_prototypes";
    reader.batch_execute(read).unwrap();
    let mut archive = Archive::open(&location(&uri), Purpose::Correct).unwrap();
    let refused = archive.forget(ids[0]).unwrap_err().to_string();
    assert!(
        refused.contains("may still be in the files") && refused.contains("VACUUM FULL"),
        "{refused}"
    );
    assert_eq!(archive.list().unwrap().len(), 2, "deleted it is");
    door.gallery.lock().forget(IdentityId(ids[1])).unwrap();
    assert!(!door.gallery.flush(Duration::from_secs(3)));
    let trouble = told(&door);
    assert!(trouble.contains("it is tried again"), "{trouble}");
    reader.batch_execute("COMMIT").unwrap();
    until("everything is erased", || told(&door).contains("recovered"));
    assert!(door.gallery.flush(LONG));
}

#[test]
fn tables_of_the_first_layout_are_brought_to_the_newest() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = server.database();
    let uri = server.uri(&database);
    let before = Camera::open(&location(&uri), "door")
        .unwrap()
        .visit(&[1, 2], 20);
    server.execute(
        &database,
        "DROP ROLE IF EXISTS watcher; CREATE ROLE watcher;
         GRANT SELECT, INSERT, UPDATE, DELETE ON reid_prototypes TO watcher;
         DROP TABLE reid_thumbnails; UPDATE reid_facts SET value = '1' WHERE name = 'layout'",
    );
    let mut archive = Archive::open(&location(&uri), Purpose::Look).unwrap();
    assert!(archive.thumbnail(before[0]).is_err());
    let mut door = Camera::open(&location(&uri), "door").unwrap();
    assert_eq!(door.visit(&[1, 2], 20), before);
    // Whoever could write people can write their pictures.
    let may = "SELECT has_table_privilege('watcher', 'reid_thumbnails', 'DELETE')::integer";
    assert_eq!(server.numbers(&database, may), [1]);
    server.execute(&database, "DROP OWNED BY watcher; DROP ROLE watcher");
}

/// The vectors of the server's second copy are those of the first, and `<=>` finds by them.
fn check_search(server: &Server, database: &str) {
    let mut session = server.session(database).unwrap();
    let rows = session.query("SELECT embedding::text, vector FROM reid_prototypes", &[]);
    for row in rows.unwrap() {
        let text: String = row.get(0);
        let copy: Vec<f32> = serde_json::from_str(&text).unwrap();
        let bytes: Vec<u8> = row.get(1);
        let (numbers, _) = bytes.as_chunks::<4>();
        let own = numbers.iter().map(|b| f32::from_le_bytes(*b));
        assert!(own.zip(&copy).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(copy.len(), numbers.len());
    }
    let nearest = "SELECT p.id FROM reid_prototypes p, reid_prototypes q WHERE q.id = $1
        ORDER BY p.embedding <=> q.embedding LIMIT 1";
    for row in session
        .query("SELECT id FROM reid_identities", &[])
        .unwrap()
    {
        let id: i32 = row.get(0);
        let found: i32 = session.query_one(nearest, &[&id]).unwrap().get(0);
        assert_eq!(found, id);
    }
}

#[test]
fn pgvector_gets_a_copy_of_the_vectors_where_it_is_there() {
    let Some(server) = Server::shared() else {
        return;
    };
    let offered = "SELECT count(*)::integer FROM pg_available_extensions WHERE name = 'vector'";
    if server.numbers("postgres", offered) == [0] {
        eprintln!("skipped: the server has no pgvector (Debian 13: postgresql-17-pgvector)");
        return;
    }
    let database = server.database();
    let uri = server.uri(&database);
    let columns =
        "SELECT count(*)::integer FROM pg_attribute WHERE attrelid = 'reid_prototypes'::regclass
        AND attname = 'embedding' AND NOT attisdropped";
    // Not without being asked.
    let mut door = Camera::open(&location(&uri), "door").unwrap();
    let several = |door: &mut Camera| {
        let ids = door.visit(&[1, 2, 3], 40);
        assert_eq!(door.visit(&[3, 1, 2], 40), [ids[2], ids[0], ids[1]]);
        assert!(door.gallery.flush(LONG));
        ids
    };
    let before = several(&mut door);
    assert_eq!(server.numbers(&database, columns), [0]);
    // Those who are there get theirs, and those who are written from now on, by whoever runs already.
    Archive::prepare(&location(&uri)).unwrap();
    assert_eq!(server.numbers(&database, columns), [1]);
    let empty = "SELECT count(*)::integer FROM reid_prototypes WHERE embedding IS NULL";
    assert_eq!(server.numbers(&database, empty), [0]);
    let ids = door.visit(&[4, 5], 40);
    assert!(door.gallery.flush(LONG));
    assert_eq!(server.numbers(&database, empty), [0]);
    check_search(&server, &database);
    door.gallery.lock().forget(IdentityId(ids[0])).unwrap();
    assert!(door.gallery.flush(LONG));
    // Gone again, at any moment: nobody is stopped.
    server.execute(&database, "DROP EXTENSION vector CASCADE");
    assert_eq!(door.visit(&[1, 6], 40)[0], before[0]);
    assert!(door.gallery.flush(LONG));
    assert_eq!(server.numbers(&database, columns), [0]);
}

#[test]
fn a_user_with_few_rights_is_enough_once_the_tables_are_there() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = server.database();
    let uri = server.uri(&database);
    server.execute(
        &database,
        &format!(
            "DROP ROLE IF EXISTS camera; CREATE ROLE camera LOGIN PASSWORD '{PASSWORD}'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        ),
    );
    let humble = uri.replace("reid:", "camera:");
    let refused = Camera::open(&location(&humble), "door").err().unwrap();
    assert!(matches!(refused, StoreError::Denied { .. }), "{refused:?}");
    Archive::prepare(&location(&uri)).unwrap();
    server.execute(
        &database,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON reid_facts, reid_identities, reid_prototypes, reid_sightings, reid_thumbnails,
         reid_departed TO camera;
         GRANT SELECT, USAGE ON reid_versions TO camera",
    );
    let mut door = Camera::open(&location(&humble), "door").unwrap();
    let ids = door.visit(&[1, 2], 20);
    door.gallery.lock().forget(IdentityId(ids[1])).unwrap();
    assert!(door.gallery.flush(LONG));
    let told = told(&door);
    assert!(told.contains("this user may not write reid_"), "{told}");
    let mut archive = Archive::open(&location(&humble), Purpose::Look).unwrap();
    assert_eq!(archive.list().unwrap().len(), 1);
}

#[test]
fn whoever_is_not_let_in_is_told_why_without_the_password() {
    let Some(server) = Server::shared() else {
        return;
    };
    tracked::init();
    let uri = server.uri("postgres");
    let wrong = uri.replace(PASSWORD, "wrong-word");
    let nowhere = server.uri("nowhere");
    for (uri, expected) in [
        (&wrong, "password authentication failed"),
        (&nowhere, "does not exist"),
    ] {
        let element = gst::ElementFactory::make("reidtrack")
            .property("gallery-location", uri)
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
        let text = format!("{} {:?}", error.error(), error.debug());
        assert!(text.contains(expected), "{text}");
        assert!(
            !text.contains("wrong-word") && !text.contains(PASSWORD),
            "{text}"
        );
    }
}

#[test]
fn a_gallery_of_another_model_is_refused() {
    let Some(server) = Server::shared() else {
        return;
    };
    let uri = server.uri(&server.database());
    Camera::open(&location(&uri), "door")
        .unwrap()
        .visit(&[1], 20);
    let mut camera = tracked::Camera::new(&format!(
        "reidtrack gallery-location=\"{}\"",
        neighbour(&uri, "x")
    ));
    let buffer = camera.buffer(Some(vec![tracked::person(0, true)]));
    assert_eq!(camera.harness.push(buffer), Err(gst::FlowError::Error));
}

/// Makes `name.crt`, which vouches for itself, and `name.key` in the folder; false where there is no openssl command.
fn make_certificate(folder: &Path, name: &str, host: &str) -> bool {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-subj", &format!("/CN={host}")])
        .args(["-addext", &format!("subjectAltName=DNS:{host}")])
        .args(["-keyout", &format!("{name}.key")])
        .args(["-out", &format!("{name}.crt")])
        .current_dir(folder)
        .output();
    made.is_ok_and(|output| output.status.success())
}

/// Adds a line to the server's settings and says who may connect.
fn set_up(settings: &Path, line: &str, access: &str) {
    let mut text = fs::read_to_string(settings.join("postgresql.conf")).unwrap();
    text.push_str(&format!("\n{line}\n"));
    fs::write(settings.join("postgresql.conf"), text).unwrap();
    fs::write(settings.join("pg_hba.conf"), format!("{access}\n")).unwrap();
}

#[test]
fn tls_proves_what_was_asked_for() {
    let Some(server) = Server::start() else {
        return;
    };
    let settings = server.settings();
    let folder = tempfile::tempdir().unwrap();
    if !make_certificate(&settings, "server", "localhost")
        || !make_certificate(folder.path(), "client", "reid")
    {
        eprintln!("skipped: no openssl command to make a certificate with");
        return;
    }
    fs::copy(
        folder.path().join("client.crt"),
        settings.join("client.crt"),
    )
    .unwrap();
    for file in ["server.key", "server.crt", "client.crt"] {
        server.give(&settings.join(file));
    }
    server.stop();
    set_up(&settings, "ssl = on", "hostssl all all all scram-sha-256");
    server.run_without_waiting();
    let authority = settings.join("server.crt").display().to_string();
    let with = |host: &str, options: &str| {
        let uri = format!(
            "postgresql://reid:{PASSWORD}@{host}:{}/postgres?{options}",
            server.port()
        );
        Archive::prepare(&location(&uri))
    };
    until("the server is up", || {
        with("localhost", "sslmode=require").is_ok()
    });
    let rooted = |mode: &str| format!("sslmode={mode}&sslrootcert={authority}");
    for (host, options, works) in [
        ("localhost", "sslmode=prefer".to_owned(), true),
        ("localhost", "sslmode=disable".to_owned(), false),
        ("localhost", "sslmode=verify-full".to_owned(), false),
        ("localhost", "sslrootcert=system".to_owned(), false),
        ("localhost", rooted("verify-full"), true),
        ("127.0.0.1", rooted("verify-full"), false),
        ("127.0.0.1", rooted("verify-ca"), true),
        ("127.0.0.1", rooted("require"), true),
    ] {
        let result = with(host, &options);
        assert_eq!(result.is_ok(), works, "{host} {options}: {result:?}");
    }

    // A server that asks who connects.
    server.stop();
    let access = "hostssl all all all scram-sha-256 clientcert=verify-ca";
    set_up(&settings, "ssl_ca_file = 'client.crt'", access);
    server.run_without_waiting();
    let shown = format!(
        "sslmode=require&sslcert={0}/client.crt&sslkey={0}/client.key",
        folder.path().display()
    );
    until("the server is up again", || {
        with("localhost", &shown).is_ok()
    });
    assert!(with("localhost", "sslmode=require").is_err());
}
