//! Scrypt and Pbkdf2: hashes of passwords.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::Sha256;
use vectorvisor_guest::{Format, Service};

/// 256 of them in the evaluation.
#[derive(Deserialize, Serialize)]
pub struct Passwords {
    pub passwords: Vec<String>,
    pub salt: String,
}

#[derive(Deserialize, Serialize)]
pub struct Keys {
    pub keys: Vec<ByteBuf>,
}

/// The keys of 64 bytes by scrypt, N = 1024, r = p = 1 (Litecoin's).
pub fn scrypt() -> Service {
    let params = scrypt::Params::new(10, 1, 1).expect("valid parameters");
    Service::of(Format::MsgPack, move |request: Passwords| {
        let key = |password: &String| {
            let mut key = vec![0; 64];
            scrypt::scrypt(password.as_bytes(), request.salt.as_bytes(), &params, &mut key).expect("a valid length");
            ByteBuf::from(key)
        };
        Keys { keys: request.passwords.iter().map(key).collect() }
    })
}

#[derive(Deserialize, Serialize)]
pub struct Password {
    pub password: String,
    pub salt: String,
}

#[derive(Deserialize, Serialize)]
pub struct Key {
    pub key: String,
}

/// The key of 32 bytes, in hexadecimal digits, by PBKDF2-HMAC-SHA256 with 20,000 rounds.
pub fn pbkdf2() -> Service {
    Service::of(Format::Json, |request: Password| {
        let mut key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(request.password.as_bytes(), request.salt.as_bytes(), 20_000, &mut key);
        Key { key: key.iter().map(|byte| format!("{byte:02x}")).collect() }
    })
}
