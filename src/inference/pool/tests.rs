//! Sessions that are shared.

use std::{fs, path::Path};

use super::*;
use crate::inference::{device::Device, model};

fn request(path: &Path) -> ModelRequest {
    ModelRequest {
        path: path.into(),
        device: Device::Cpu,
        threads: 1,
        precision: Precision::Float32,
    }
}

fn pool(request: &ModelRequest) -> Arc<Pool> {
    let info = ModelInfo {
        path: request.path.clone(),
        fingerprint: model::fingerprint(b""),
        inputs: Vec::new(),
        outputs: Vec::new(),
        metadata: std::collections::BTreeMap::new(),
    };
    Arc::new(Pool {
        request: request.clone(),
        info,
        limit: 1,
        state: Mutex::default(),
        returned: Condvar::new(),
    })
}

#[test]
fn of_two_who_load_at_once_the_first_to_finish_is_shared() {
    let request = request(Path::new("loaded-by-two"));
    let (first, second) = (pool(&request), pool(&request));
    let shared = SharedModel::share(request.clone(), first.clone());
    assert!(Arc::ptr_eq(&shared, &first));
    assert!(Arc::ptr_eq(
        &SharedModel::share(request.clone(), second.clone()),
        &first
    ));
    drop((shared, first));
    // Nobody uses it any more: the next takes its place.
    assert!(Arc::ptr_eq(
        &SharedModel::share(request.clone(), second.clone()),
        &second
    ));
    // Many at once.
    let all: Vec<Arc<Pool>> = thread::scope(|scope| {
        let load = || SharedModel::share(request.clone(), pool(&request));
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(all.iter().all(|pool| Arc::ptr_eq(pool, &second)));
}

#[test]
fn an_id_is_free_again_when_nobody_holds_it() {
    let (a, b) = (request(Path::new("a")), request(Path::new("b")));
    let first = SharedModel::claim("free-again", &a).unwrap();
    let second = SharedModel::claim("free-again", &a).unwrap();
    assert!(SharedModel::claim("free-again", &b).is_err());
    drop(first);
    assert!(SharedModel::claim("free-again", &b).is_err());
    drop(second);
    assert!(SharedModel::claim("free-again", &b).is_ok());
}

#[test]
fn files_that_cannot_be_models_are_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.onnx");
    fs::write(&empty, b"").unwrap();
    let cases = [
        (folder.path().join("none.onnx"), "does not exist"),
        (empty, "is empty"),
        (folder.path().into(), "is a folder"),
    ];
    for (path, reason) in cases {
        let error = SharedModel::open(&request(&path), None).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains(reason) && text.contains("property 'model'"),
            "{text}"
        );
    }
}
