//! README.md and docs/ are up to date: the page of properties is that of the registered elements, and all commands run.

mod common;
#[path = "../examples/properties.rs"]
mod properties;

use std::{fs, path::Path, process::Command, time::Duration};

use common::{command, people, root, run_well};
use gst::prelude::*;

fn init() {
    gst::init().unwrap();
    gstreid::plugin_register_static().unwrap();
}

#[test]
fn the_page_of_properties_is_that_of_the_elements() {
    init();
    let shown = fs::read_to_string(root().join("docs/properties.md")).unwrap();
    assert!(
        shown == properties::page().unwrap(),
        "docs/properties.md is out of date: run cargo run --example properties > docs/properties.md"
    );
}

#[test]
fn the_page_of_messages_has_every_signal_with_its_arguments() {
    init();
    let page = fs::read_to_string(root().join("docs/messages.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let signals = [
        "identity-new",
        "identity-matched",
        "identity-merged",
        "identity-split",
        "identity-corrected",
        "identity-lost",
        "rename",
        "merge",
        "split",
        "forget",
    ];
    for element in ["reidtrack", "reidbin"] {
        let element = gst::ElementFactory::make(element).build().unwrap();
        for name in signals {
            let signal = glib::subclass::SignalId::lookup(name, element.type_()).unwrap();
            let types: Vec<String> = signal
                .query()
                .param_types()
                .iter()
                .map(|argument| argument.type_().name().to_owned())
                .collect();
            let row = rows
                .iter()
                .find(|row| row.len() > 2 && row[1] == format!("`{name}`"))
                .unwrap_or_else(|| panic!("docs/messages.md has no signal {name}"));
            let documented: Vec<&str> = row[2]
                .split(", ")
                .map(|argument| argument.split(' ').next().unwrap())
                .collect();
            assert_eq!(documented, types, "{name}");
        }
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut documents = vec!["README.md".into(), "ARCHITECTURE.md".into()];
    documents.extend(["CONTRIBUTING.md".into(), "SECURITY.md".into()]);
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    for document in documents {
        let document: std::path::PathBuf = document;
        let text = fs::read_to_string(root().join(&document)).unwrap();
        let folder = root().join(document.parent().unwrap());
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            assert!(
                target.contains("://") || folder.join(target).exists(),
                "{}: {target} is not there",
                document.display()
            );
        }
    }
}

#[test]
fn every_property_says_unit_range_and_when_it_may_change() {
    init();
    for name in properties::ELEMENTS {
        let element = gst::ElementFactory::make(name).build().unwrap();
        for property in element
            .list_properties()
            .iter()
            .filter(|p| p.owner_type() == element.type_())
        {
            let blurb = property.blurb().unwrap_or_default();
            assert!(
                blurb.len() > 20,
                "{name}.{} says too little: {blurb:?}",
                property.name()
            );
            if property.flags().contains(glib::ParamFlags::WRITABLE) {
                let when = [
                    gst::PARAM_FLAG_MUTABLE_READY,
                    gst::PARAM_FLAG_MUTABLE_PLAYING,
                ];
                assert!(
                    when.iter().any(|flag| property.flags().contains(*flag)),
                    "{name}.{} does not say when it may change",
                    property.name()
                );
            }
        }
        for key in ["long-name", "description", "author", "klass"] {
            let value = element
                .factory()
                .unwrap()
                .metadata(key)
                .unwrap_or_default()
                .to_owned();
            assert!(
                !value.is_empty() && !value.contains("FIXME"),
                "{name} has no {key}"
            );
        }
    }
}

/// Lines that set a shell up; `.ci/run` runs them.
const SET_UP: [&str; 3] = ["make ", "eval ", "export "];

/// The commands in the README's `sh` blocks, joined where they go on after a backslash.
fn commands(readme: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in readme.split("```sh\n").skip(1) {
        let block = block
            .split("```")
            .next()
            .unwrap_or_default()
            .replace("\\\n", " ");
        commands.extend(
            block
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned),
        );
    }
    commands
}

/// Runs a line in `folder`, with no screen and sources that end soon.
fn shell(line: &str, folder: &Path) -> Command {
    let line = line
        .replace("autovideosink", "fakesink")
        .replace("num-buffers=300", "num-buffers=30");
    let mut shell = command("bash");
    shell.args(["-c", &line]).current_dir(folder);
    shell
}

/// The pictures and files that the lines of `reidctl` name.
fn lay_out(folder: &Path) {
    let crops = people::crops(4, 4);
    people::as_market(&crops, &folder.join("market"));
    for tree in ["staff", "crops"] {
        people::as_tree(&crops, &folder.join(tree));
    }
    for (name, crop) in ["door.jpg", "hall.jpg"].iter().zip(&crops) {
        crop.picture.save(folder.join(name)).unwrap();
    }
    people::as_sequence(&folder.join("street"), 3);
    for name in ["truth.txt", "seen.txt"] {
        fs::copy(folder.join("street/gt/gt.txt"), folder.join(name)).unwrap();
    }
}

#[test]
fn every_command_runs() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path());
    for (i, file) in ["a.mp4", "b.mp4"].iter().enumerate() {
        let line = format!(
            "gst-launch-1.0 -e reidtestsrc camera={i} cameras=2 num-buffers=45 ! videoconvert ! x264enc tune=zerolatency ! h264parse ! mp4mux ! filesink location={file}"
        );
        run_well(shell(&line, folder.path()), Duration::from_secs(120));
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() > 4, "the README's commands were not found");
    for line in commands
        .iter()
        .filter(|line| !SET_UP.iter().any(|word| line.starts_with(word)))
    {
        println!("{line}");
        run_well(shell(line, folder.path()), Duration::from_secs(180));
    }
}
