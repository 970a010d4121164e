//! What a disk that fails in the middle of a frame leaves behind.

use super::super::{Position, Reader, verify};
use super::*;

#[test]
fn what_a_failed_write_left_is_cut_off_before_a_shorter_frame_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY;
    let folder = || nix::fcntl::open(dir.path(), flags, nix::sys::stat::Mode::empty()).unwrap();
    let origin = Origin {
        id: "web".into(),
        name: None,
        image: None,
        host: "h".into(),
        boot: "b".into(),
        launch: "1".into(),
    };
    let settings = Settings {
        quota: 1 << 20,
        when_full: WhenFull::DropNew,
        sync: Sync::Record,
    };
    let mut writer = Writer::open(folder(), &origin, settings, 1).unwrap();
    let frame = |bytes: &[u8]| [&[0; HEADER], bytes].concat();
    let put = |writer: &mut Writer, bytes: &[u8]| {
        writer.append(Stream::Stdout, 5, &mut frame(bytes)).unwrap()
    };
    assert_eq!(put(&mut writer, b"before\n"), Stored::Kept);
    // Half a frame, and a disk that takes nothing more: not even that it is cut.
    let path = dir.path().join(name_of(1));
    let part = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    part.write_all_at(&[7; 5000], writer.offset).unwrap();
    let own = std::mem::replace(&mut writer.file, File::open(&path).unwrap());
    writer.torn = true;
    assert_eq!(put(&mut writer, b"lost\n"), Stored::Dropped);
    assert!(writer.take_error().unwrap().contains("ftruncate"));
    assert_eq!(writer.untold(Why::DropNew), (1, 5));
    writer.file = own;
    assert_eq!(put(&mut writer, b"behind\n"), Stored::Kept);
    assert_eq!(verify(&folder()).unwrap().problems, []);
    let mut reader = Reader::open(folder(), Position::default());
    let mut read = Vec::new();
    while let Some(frame) = reader.read().unwrap() {
        read.push((frame.gap, frame.bytes.to_vec()));
    }
    assert_eq!(read.len(), 3);
    assert_eq!(read[0], (false, b"before\n".to_vec()));
    assert!(read[1].0);
    assert_eq!(read[2], (false, b"behind\n".to_vec()));
}
