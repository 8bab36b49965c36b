//! `envbox.lock`.

mod schema;

pub use schema::{
    Artifact, LockedArchive, LockedDebian, LockedInterpreter, LockedPackage, LockedSuite,
    LockedWheel, Lockfile, Origin, Request,
};
