//! Media types by the extensions of names.
//!
//! The list is part of the program, so that the same file is of the same type on every machine.

/// The types that are known, by extension in lower case, sorted.
const TYPES: [(&str, &str); 44] = [
    ("aac", "audio/aac"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("cbor", "application/cbor"),
    ("cer", "application/pkix-cert"),
    ("conf", "text/plain"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ini", "text/plain"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonl", "application/x-ndjson"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ndjson", "application/x-ndjson"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pcap", "application/vnd.tcpdump.pcap"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("tsv", "text/tab-separated-values"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webp", "image/webp"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The media type of what is called `name`, a file's name or a key; `None` if its extension says nothing. Of
/// `log.json.gz` it is that of the archive: nothing is unpacked on the way.
pub fn of_name(name: &str) -> Option<&'static str> {
    let name = name.rsplit('/').next().unwrap_or(name);
    // What begins with the dot is a hidden file without an extension.
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() || extension.len() > 8 {
        return None;
    }
    let extension = extension.to_ascii_lowercase();
    let index = TYPES
        .binary_search_by(|(known, _)| (*known).cmp(extension.as_str()))
        .ok()?;
    Some(TYPES[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_extension() {
        for (name, media_type) in [
            ("a/b.c/report.json", Some("application/json")),
            ("PHOTO.JPG", Some("image/jpeg")),
            ("x.log.gz", Some("application/gzip")),
            ("noextension", None),
            (".json", None),
            ("a.json/part", None),
            ("x.", None),
            ("v1.2", None),
        ] {
            assert_eq!(of_name(name), media_type, "{name}");
        }
    }

    #[test]
    fn sorted() {
        assert!(TYPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
