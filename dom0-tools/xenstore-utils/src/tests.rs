//! Whole commands, on a store within the process.

use std::ffi::OsString;

use xenstore::local::LocalStore;
use xenstore::{Access, Tx};

use crate::command_line::parse;
use crate::errors::Failure;
use crate::perform;

/// Runs a command; gives its output. Words are separated by single spaces.
fn run(store: &LocalStore, command: &str) -> Result<String, Failure> {
    let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    let line = parse(&words).unwrap().line;
    let tx = store.begin().unwrap();
    let mut output = Vec::new();
    let result = perform(store, tx, &line, &mut output);
    assert!(store.end(tx, result.is_ok()).unwrap());
    result.map(|()| String::from_utf8(output).unwrap())
}

fn said(text: &str) -> Result<String, Failure> {
    Err(Failure::said(text))
}

#[test]
fn what_is_written_is_read() {
    let store = LocalStore::default();
    run(&store, r"xenstore write /t/a x\ny\\z /t/b 2").unwrap();
    assert_eq!(run(&store, "xenstore read /t/a").unwrap(), "x\\ny\\\\z\n");
    assert_eq!(run(&store, "xenstore read -R /t/a").unwrap(), "x\ny\\z");
    assert_eq!(
        run(&store, "xenstore read -p /t/a /t/b").unwrap(),
        "/t/a: x\\ny\\\\z\n/t/b: 2\n"
    );
    assert_eq!(run(&store, "xenstore list -p /t").unwrap(), "/t/a\n/t/b\n");
    assert_eq!(
        run(&store, "xenstore read /nope"),
        said("couldn't read path /nope")
    );
    assert_eq!(
        run(&store, "xenstore list /nope"),
        said("could not list path /nope")
    );
}

#[test]
fn a_command_does_all_or_nothing() {
    let store = LocalStore::default();
    let refused = said("could not write path bad//path");
    assert_eq!(run(&store, "xenstore write /t/m 1 bad//path 3"), refused);
    assert_eq!(run(&store, "xenstore exists /t/m"), Err(Failure::Silent));
    run(&store, "xenstore write /t/m 1").unwrap();
    assert_eq!(run(&store, "xenstore exists /t/m").unwrap(), "");
}

#[test]
fn removing_tidily_takes_empty_parents_too() {
    let store = LocalStore::default();
    run(&store, "xenstore write /d/kept 1 /d/e/f/g 1").unwrap();
    run(&store, "xenstore rm -t /d/e/f/g").unwrap();
    assert_eq!(run(&store, "xenstore list /d").unwrap(), "kept\n");
    run(&store, "xenstore rm -t /d/kept").unwrap();
    assert_eq!(run(&store, "xenstore exists /d"), Err(Failure::Silent));
    run(&store, "xenstore rm /nope").unwrap();
}

#[test]
fn permissions_reach_parents_and_children() {
    let store = LocalStore::default();
    run(&store, "xenstore write /p/q/r/s 1 /p/other 1").unwrap();
    run(&store, "xenstore chmod -u -r /p/q b0 r5").unwrap();
    let permissions = |path: &str| {
        let all = store.permissions(Tx::NONE, path).unwrap();
        let words: Vec<String> = all.iter().map(ToString::to_string).collect();
        words.join(",")
    };
    for path in ["/p", "/p/q", "/p/q/r", "/p/q/r/s"] {
        assert_eq!(permissions(path), "b0,r5", "{path}");
    }
    assert_eq!(permissions("/p/other"), "n0");
    let nobody = "Error occurred setting permissions on '/p': Invalid argument";
    assert_eq!(run(&store, "xenstore chmod /p"), said(nobody));
    let nowhere = "Error occurred setting permissions on '/nope': No such file or directory";
    assert_eq!(run(&store, "xenstore chmod /nope r1"), said(nowhere));
}
