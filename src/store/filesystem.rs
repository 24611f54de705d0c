//! Which kind of file system the data folder lies on: `SQLite`'s write-ahead log needs memory that every process on the
//! file shares, and file systems over a network do not give it.

use std::path::Path;

/// The name of a file system on which no write-ahead log can be kept, or `None` for a local one.
///
/// The numbers are `f_type` of `statfs(2)`.
#[cfg(target_os = "linux")]
pub(super) fn network(folder: &Path) -> Option<&'static str> {
    let magic = rustix::fs::statfs(folder).ok()?.f_type as u32;
    named(magic)
}

/// Elsewhere the kind is not known by number; a log that cannot be kept shows when it is asked for.
#[cfg(not(target_os = "linux"))]
pub(super) fn network(_folder: &Path) -> Option<&'static str> {
    None
}

#[cfg(target_os = "linux")]
const fn named(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x7375_7245 => "Coda",
        0x7461_636F => "OCFS2",
        0x0116_1970 => "GFS2",
        _ => return None,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::named;

    #[test]
    fn network_file_systems_are_known_and_local_ones_are_not_taken_for_them() {
        assert_eq!(named(0x6969), Some("NFS"));
        assert_eq!(named(0xFE53_4D42), Some("SMB"));
        assert_eq!(named(0xEF53), None, "ext4 keeps its write-ahead log");
        assert_eq!(named(0x0102_1994), None, "so does tmpfs");
    }
}
