//! Any bytes from a message bus: read or refused, never a panic; what is read is written the same way.
#![no_main]

use cofferdam::dbus::Message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(message)) = Message::parse(bytes) {
        let again = Message::parse(&message.bytes());
        assert_eq!(again, Ok(Some(message)));
    }
});
