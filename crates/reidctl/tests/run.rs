//! `reidctl run`: cameras from a file that fail, stall, end and change while others go on; and the page, with who may see it.

#[path = "run/access.rs"]
mod access;
#[path = "../../../tests/common/broker.rs"]
mod broker;
#[path = "run/cameras.rs"]
mod cameras;
#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "run/file.rs"]
mod file;
#[path = "run/find.rs"]
mod find;
#[path = "run/page.rs"]
mod page;
#[path = "run/program.rs"]
mod program;
#[path = "run/record.rs"]
mod record;
#[path = "run/schema.rs"]
mod schema;
