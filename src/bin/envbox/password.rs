//! Passwords of keys: from the environment, or typed.

use console::Term;
use envbox::attest::{AttestError, Password};
use envbox::ops;

use crate::ambient;
use crate::render::{self, Failure};

/// Returns the password of a key that is there.
pub(crate) fn ask(what: &str) -> Result<Password, AttestError> {
    match ambient::key_password() {
        Some(password) => Ok(Password::new(password)),
        None => typed(what),
    }
}

/// Returns the password for a new key, which who types it types twice.
pub(crate) fn choose() -> Result<Password, Failure> {
    if let Some(password) = ambient::key_password() {
        return Ok(Password::new(password));
    }
    loop {
        let first = typed("password for the new key").map_err(ops::Error::from)?;
        let again = typed("the same again").map_err(ops::Error::from)?;
        if first.is_same(&again) {
            return Ok(first);
        }
        render::warning("these two are not the same");
    }
}

fn typed(what: &str) -> Result<Password, AttestError> {
    if !ambient::is_attended() {
        return Err(AttestError::PasswordNeeded);
    }
    render::prompt(&format!("{what}: "));
    let line = Term::stderr().read_secure_line();
    // The line break that was typed was not shown.
    render::note("");
    let line = line.map_err(|_| AttestError::PasswordNeeded)?;
    Ok(Password::new(line.into_bytes()))
}
