//! Declared data, as root and as an unprivileged user.

use std::fs;
use std::process::Command;

use crate::http::Server;
use crate::tools::{Tools, for_both};

impl Tools {
    fn declare(&self, arguments: &[&str]) {
        let added = self.world.run(&[&["data", "add"], arguments].concat());
        assert_eq!(added.code(), Some(0), "{}", added.stderr());
    }
}

#[test]
fn a_changed_byte_stops_the_run() {
    for_both(|tools| {
        tools.world.write("data/train.csv", "1,2\n");
        tools.world.write("images/a/one", "x");
        tools.declare(&["data/train.csv", "images"]);
        let manifest = fs::read_to_string(tools.world.project().join("envbox.toml")).unwrap();
        assert!(
            manifest.contains("[data]\n\"data/train.csv\" = { sha256 = \""),
            "{manifest}"
        );
        let script = "cat data/train.csv images/a/one; echo 3 > data/train.csv; rm images/a/one";
        let run = tools.sh(script);
        assert_eq!(run.stdout(), "1,2\nx");
        for message in [
            "data/train.csv: Read-only file system",
            "images/a/one': Read-only file system",
        ] {
            assert!(run.stderr().contains(message), "{}", run.stderr());
        }
        tools.world.write("images/a/one", "y");
        let refused = tools.sh("echo never");
        assert_eq!((refused.code(), refused.stdout().as_str()), (Some(125), ""));
        assert!(
            refused.stderr().contains("the data `images` has changed"),
            "{}",
            refused.stderr()
        );
        let verified = tools.world.run(&["data", "verify"]);
        assert_eq!(verified.code(), Some(14), "{}", verified.stderr());
        tools.declare(&["images"]);
        assert_eq!(tools.sh("cat images/a/one").stdout(), "y");
        // What is declared is not read besides.
        let audit = tools.audit(&[], &["cat", "data/train.csv"]);
        assert_eq!(audit.stdout(), "1,2\n");
        assert!(!audit.stderr().contains("  outside "), "{}", audit.stderr());
        let shown = tools.world.run(&["show"]).stdout();
        assert!(shown.contains("nothing else was read"), "{shown}");
        assert_eq!(tools.sh("cat images/a/one").stdout(), "y");
        // It is data, and no code.
        let record = tools.world.run(&["--json", "show", "@1"]).stdout();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let inputs = record["tower"]["data"]["seen"]["inputs"]
            .as_object()
            .unwrap();
        assert_eq!(
            inputs.keys().collect::<Vec<_>>(),
            ["data/train.csv", "images"]
        );
        let again = tools.world.run(&["--json", "show", "@2"]).stdout();
        let again: serde_json::Value = serde_json::from_str(&again).unwrap();
        let code = |record: &serde_json::Value| record["tower"]["code"]["noted"]["files"].clone();
        assert_eq!(code(&record), code(&again));
        assert_eq!(code(&record), 2, "manifest and lockfile");
    });
}

#[test]
fn a_directory_that_dvc_has_is_mounted() {
    for_both(|tools| {
        let (one, two) = (
            "f97c5d29941bfb1b2fdab0874906ab82",
            "b8a9f715dbb64fd5c56e7783c6820a61",
        );
        let list = format!(
            "[{{\"md5\": \"{one}\", \"relpath\": \"a/one\"}}, \
             {{\"md5\": \"{two}\", \"relpath\": \"two\"}}]"
        );
        tools.world.write("list", &list);
        let mut md5sum = Command::new("md5sum");
        let md5 = md5sum
            .arg(tools.world.project().join("list"))
            .output()
            .unwrap();
        let md5 = String::from_utf8(md5.stdout).unwrap();
        let md5 = md5.split(' ').next().unwrap();
        let object = |name: &str| format!(".dvc/cache/files/md5/{}/{}", &name[..2], &name[2..]);
        tools.world.write(&object(one), "one");
        tools.world.write(&object(two), "two");
        tools.world.write(&object(&format!("{md5}.dir")), &list);
        tools.world.write(
            "images.dvc",
            &format!("outs:\n- md5: {md5}.dir\n  path: images\n"),
        );
        tools.world.write(".dvc/.gitignore", "/cache\n");
        tools.declare(&["images"]);
        let run = tools.sh("cat images/a/one images/two; echo x > images/two; ls");
        assert!(
            run.stdout().starts_with("onetwo"),
            "{}{}",
            run.stdout(),
            run.stderr()
        );
        assert!(
            run.stderr().contains("Read-only file system"),
            "{}",
            run.stderr()
        );
        // The project gets nothing of it.
        assert!(!tools.world.project().join("images").exists());
        tools.world.write(&object(two), "TWO");
        assert_eq!(tools.sh("cat images/two").code(), Some(125));
    });
}

#[test]
fn data_comes_from_where_the_manifest_says() {
    for_both(|tools| {
        let server = Server::start();
        server.file("/raw/train.csv", b"4,5\n");
        let url = format!("{}/raw/train.csv", server.url());
        tools.declare(&[&url, "--as", "data/raw.csv"]);
        drop(server);
        // The store has it, and the project gets nothing of it.
        let run = tools.sh("cat data/raw.csv; echo out > data/out; echo x > data/raw.csv");
        assert_eq!(run.stdout(), "4,5\n");
        assert!(
            run.stderr().contains("Read-only file system"),
            "{}",
            run.stderr()
        );
        let entries = fs::read_dir(tools.world.project().join("data")).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["out"]);
        let direct = tools.run_with(&["--direct"], &["true"]);
        assert_eq!(direct.code(), Some(125));
        assert!(
            direct.stderr().contains("run the step without `--direct`"),
            "{}",
            direct.stderr()
        );
        // One who has only the manifest, and no network.
        let other = tools.world.path().join("home/other");
        let offline = [
            "--offline",
            "--store",
            other.to_str().unwrap(),
            "data",
            "verify",
        ];
        let missing = tools.world.run(&offline);
        assert_eq!(missing.code(), Some(13), "{}", missing.stderr());
        assert!(
            missing
                .stderr()
                .contains("failed to get the data `data/raw.csv`"),
            "{}",
            missing.stderr()
        );
    });
}

#[test]
fn a_run_is_done_again_on_the_same_data() {
    for_both(|tools| {
        tools.world.write("data/train.csv", "1,2\n");
        tools.declare(&["data/train.csv"]);
        assert_eq!(tools.sh("cat data/train.csv > out").code(), Some(0));
        let again = tools.world.run(&["replay", "@1"]);
        assert_eq!(again.code(), Some(0), "{}", again.stderr());
        tools.world.write("data/train.csv", "1,3\n");
        let refused = tools.world.run(&["replay", "@2"]);
        assert_eq!(refused.code(), Some(14), "{}", refused.stderr());
        let message = "the data `data/train.csv` has changed";
        assert!(refused.stderr().contains(message), "{}", refused.stderr());
    });
}

#[test]
fn a_server_that_has_other_bytes_is_named() {
    for_both(|tools| {
        let server = Server::start();
        server.file("/train.csv", b"4,5\n");
        let url = format!("{}/train.csv", server.url());
        tools.declare(&[&url]);
        let changed = Server::start();
        changed.file("/train.csv", b"4,6\n");
        let file = tools.world.project().join("envbox.toml");
        let manifest = fs::read_to_string(&file).unwrap();
        let manifest = manifest.replace(&server.url().to_string(), &changed.url().to_string());
        tools.world.write("envbox.toml", &manifest);
        let collected = tools.world.run(&["store", "gc"]);
        assert_eq!(collected.code(), Some(0));
        let refused = tools.world.run(&["data", "verify"]);
        assert_eq!(refused.code(), Some(14), "{}", refused.stderr());
        let url = changed.url();
        let told = [
            format!("the data `train.csv` has changed: `{url}/train.csv` gives other bytes"),
            format!("declare what is there: `envbox data add {url}/train.csv --as train.csv`"),
        ];
        for told in told {
            assert!(refused.stderr().contains(&told), "{}", refused.stderr());
        }
    });
}

#[test]
fn a_url_has_its_place_in_the_project_from_wherever_it_is_declared() {
    for_both(|tools| {
        let server = Server::start();
        server.file("/train.csv", b"4,5\n");
        let url = format!("{}/train.csv", server.url());
        let project = tools.world.project();
        for (directory, place) in [
            (project.join("deep"), "deep/train.csv"),
            (tools.world.path().join("home"), "train.csv"),
        ] {
            tools.world.write("deep/kept", "");
            let options = ["--project", project.to_str().unwrap()];
            let arguments = [&options[..], &["data", "add", &url]].concat();
            let added = tools.world.command_in(&directory, &arguments);
            let added = tools.world.finished(added);
            assert_eq!(added.code(), Some(0), "{}", added.stderr());
            let manifest = fs::read_to_string(project.join("envbox.toml")).unwrap();
            let declared = format!("\"{place}\" = {{ sha256");
            assert!(manifest.contains(&declared), "{manifest}");
        }
    });
}

#[test]
fn mistakes_in_the_manifest_have_their_place() {
    let digest = "0".repeat(64);
    for (data, message) in [
        (format!("a = {{ sha265 = \"{digest}\" }}"), "write `sha256`"),
        (
            format!("a = {{ url = \"http://x/\", sha256 = \"{digest}\" }}"),
            "`size`",
        ),
        (
            "a = { sha256 = \"12\" }".to_owned(),
            "64 lower-case hex digits",
        ),
        (
            format!("\"../a\" = {{ sha256 = \"{digest}\" }}"),
            "a path inside the project",
        ),
        (
            format!("a = {{ sha256 = \"{digest}\" }}\n\"a/b\" = {{ sha256 = \"{digest}\" }}"),
            "neither in another entry nor around one",
        ),
        (
            format!("a = {{ url = \"ftp://x/\", size = 1, sha256 = \"{digest}\" }}"),
            "begins with `https://`",
        ),
    ] {
        let tools = Tools::new(crate::support::User::Unprivileged);
        let manifest = format!("{}[data]\n{data}\n", crate::tools::MANIFEST);
        tools.world.write("envbox.toml", &manifest);
        let verified = tools.world.run(&["data", "verify"]);
        assert_eq!(verified.code(), Some(10), "{}", verified.stderr());
        assert!(
            verified.stderr().contains(message),
            "{message} in {}",
            verified.stderr()
        );
    }
}
