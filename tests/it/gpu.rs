//! `envbox gpu` on whatever host this is.

use crate::support::{User, World};

#[test]
fn a_host_is_told_of_in_words_and_as_a_document() {
    for user in User::ALL {
        let world = World::new(user);
        let told = world.run(&["gpu"]);
        let document = world.run(&["--json", "gpu"]);
        assert_eq!(document.code(), told.code());
        let document: serde_json::Value = serde_json::from_str(&document.stdout()).unwrap();
        assert_eq!(document["schema"], "envbox.gpu/1");
        match told.code() {
            Some(0) => assert!(told.stdout().contains("usable: "), "{}", told.stdout()),
            Some(1) => {
                let why = document["refused"].as_str().unwrap();
                let remedy = document["remedy"].as_str().unwrap();
                let end = format!("not usable: {why}\nremedy: {remedy}\n");
                assert!(told.stdout().ends_with(&end), "{}", told.stdout());
            }
            other => panic!("{other:?}: {}", told.stderr()),
        }
    }
}
