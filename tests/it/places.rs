//! Stores and projects in places that do not serve.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::User;
use crate::tools::Tools;

#[test]
fn a_full_store_says_so_and_works_when_there_is_space() {
    let run = Tools::new(User::Current).with_mounts(
        "mkdir $root/small; mount -t tmpfs -o size=2m none $root/small
        export ENVBOX_STORE=$root/small/store
        $run -- true; echo $?
        mount -o remount,size=200m $root/small
        $run -- sh -c 'echo done'; echo $?",
    );
    assert_eq!(run.stdout(), "125\ndone\n0\n", "{}", run.stderr());
    let said = run.stderr();
    // Which file comes to the end of the space first is not said.
    let head = "error: there is no space left for the store\n\
                caused by: failed to write `[ROOT]/small/store/tmp/partial/";
    let tail = "`\ncaused by: No space left on device (os error 28)\n\n\
                hint: free some space, or run `envbox store gc`\n";
    assert!(said.starts_with(head) && said.ends_with(tail), "{said}");
}

#[test]
fn what_a_full_project_cannot_take_is_kept() {
    let run = Tools::new(User::Current).with_mounts(
        "mkdir $root/tiny; mount -t tmpfs -o size=1m none $root/tiny
        cp envbox.toml envbox.lock $root/tiny; cd $root/tiny
        $run -- sh -c 'i=0; while [ $i -lt 40000 ]; do echo 0123456789012345678901234567890123456789012345678901234567890123; i=$((i + 1)); done > big; echo small > small'
        echo $?; cat small; ls; stat -c %s $root/home/.cache/envbox/runs/*/upper/big",
    );
    let expected = "125\nsmall\nenvbox.lock\nenvbox.toml\nsmall\n2600000\n";
    assert_eq!(run.stdout(), expected, "{}", run.stderr());
    let said = run.stderr();
    assert!(
        said.contains("`big` could not be written: No space left on device"),
        "{said}"
    );
    assert!(
        said.contains("was kept in `[ROOT]/home/.cache/envbox/runs/"),
        "{said}"
    );
}

#[test]
fn where_no_overlay_can_be_there_is_direct() {
    let run = Tools::new(User::Current).with_mounts(
        "mkdir $root/l $root/u $root/w $root/o
        mount -t overlay overlay -o lowerdir=$root/l,upperdir=$root/u,workdir=$root/w $root/o
        export ENVBOX_STORE=$root/o/store
        $run -- sh -c 'echo no > out'; echo $?; ls
        $run --direct -- sh -c 'echo yes > out'; echo $?; cat out",
    );
    let expected = "125\nenvbox.lock\nenvbox.toml\n0\nyes\n";
    assert_eq!(run.stdout(), expected, "{}", run.stderr());
    insta::assert_snapshot!(run.stderr(), @r#"
    error: this host cannot lay an overlay over `[ROOT]/project`
    caused by: failed to set up the sandbox: mount overlay on `/project`
    caused by: Invalid argument (os error 22)

    hint: move the store from `[ROOT]/o/store` to another file system with `ENVBOX_STORE`: overlays and network file systems cannot hold what an overlay writes
    hint: or let the step write to the project itself with `--direct`
    "#);
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let tools = Tools::new(User::Unprivileged);
    let store = tools.world.path().join("home/.cache");
    fs::create_dir(&store).unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o555)).unwrap();
    insta::assert_snapshot!(tools.run(&["true"]).whole(), @r#"
    exit: 125
    -- stdout
    -- stderr
    error: the store cannot be written
    caused by: failed to create `[ROOT]/home/.cache/envbox`
    caused by: Permission denied (os error 13)

    hint: make it writable, or choose another store with `ENVBOX_STORE`
    "#);
}

#[test]
fn a_store_in_the_project_is_refused() {
    let tools = Tools::new(User::Unprivileged);
    let store = tools.world.project().join("store");
    let run = tools.run_with(&["--store", store.to_str().unwrap()], &["true"]);
    insta::assert_snapshot!(run.whole(), @r#"
    exit: 125
    -- stdout
    -- stderr
    error: the store `[ROOT]/project/store` is in the project, and a step must not see it

    hint: choose a directory outside with `ENVBOX_STORE`
    "#);
}
