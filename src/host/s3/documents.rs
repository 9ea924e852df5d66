//! The XML documents of the operations.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::digest::{Checksum, ChecksumAlgorithm};
use super::store::Part;
use crate::core::s3::{Token, XmlError, XmlReader};

/// `<Error>`.
#[derive(Debug, Default)]
pub(super) struct ErrorDocument {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    /// Where the bucket is.
    pub(super) region: Option<String>,
}

/// What is kept of a text in an answer.
const MAX_TEXT: usize = 1024;

impl ErrorDocument {
    /// Reads the document; `None` if it is another one, or none.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut reader = XmlReader::new(body).ok()?;
        if reader.next_token() != Ok(Some(Token::Start("Error"))) {
            return None;
        }
        let mut this = Self::default();
        // What comes before something that cannot be read still counts.
        while let Ok(Some(token)) = reader.next_token() {
            let Token::Start(name) = token else { continue };
            let Ok(text) = reader.text() else { break };
            let text = unescaped(text);
            match name {
                "Code" => this.code = text,
                "Message" => this.message = text,
                "RequestId" => this.request_id = Some(text),
                "Region" => this.region = Some(text),
                _ => {}
            }
        }
        Some(this)
    }
}

/// Characters that are resolved; of a long text, the beginning.
fn unescaped(text: &str) -> String {
    XmlReader::unescape(text.trim()).take(MAX_TEXT).collect()
}

/// `InitiateMultipartUploadResult`: the upload's id.
///
/// # Errors
/// A sentence, if there is none.
pub(super) fn upload_id(body: &[u8]) -> Result<String, &'static str> {
    let mut found = String::new();
    children(body, "InitiateMultipartUploadResult", |name, reader| {
        if name == "UploadId" {
            found = XmlReader::unescape(reader.text()?.trim()).collect();
        }
        Ok(())
    })?;
    if found.is_empty() {
        return Err("it names no upload");
    }
    if found.len() > MAX_TEXT {
        return Err("its name of the upload is too long");
    }
    Ok(found)
}

/// `CompleteMultipartUploadResult`.
#[derive(Debug, Default)]
pub(super) struct CompleteResult {
    pub(super) etag: String,
    pub(super) checksum: Option<Checksum>,
}

impl CompleteResult {
    /// # Errors
    /// A sentence, if this is another document.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let mut this = Self::default();
        children(body, "CompleteMultipartUploadResult", |name, reader| {
            match name {
                "ETag" => this.etag = etag(reader.text()?),
                "ChecksumCRC64NVME" => {
                    this.checksum = checksum(ChecksumAlgorithm::Crc64Nvme, reader.text()?);
                }
                "ChecksumSHA256" if this.checksum.is_none() => {
                    this.checksum = checksum(ChecksumAlgorithm::Sha256, reader.text()?);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(this)
    }
}

/// A page of `ListPartsResult`.
#[derive(Debug, Default)]
pub(super) struct PartsPage {
    pub(super) parts: Vec<Part>,
    /// The number that the next page begins after, if there is one.
    pub(super) next: Option<u32>,
}

impl PartsPage {
    /// # Errors
    /// A sentence, if this is another document.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let mut this = Self::default();
        let mut truncated = false;
        let mut next = None;
        children(body, "ListPartsResult", |name, reader| {
            match name {
                "IsTruncated" => truncated = reader.text()?.trim() == "true",
                "NextPartNumberMarker" => next = reader.text()?.trim().parse().ok(),
                "Part" => this.parts.push(part(reader)?),
                _ => {}
            }
            Ok(())
        })?;
        if truncated {
            this.next = next.or_else(|| this.parts.last().map(|part| part.number));
        }
        Ok(this)
    }
}

fn part(reader: &mut XmlReader<'_>) -> Result<Part, XmlError> {
    let outside = reader.depth() - 1;
    let mut part = Part {
        number: 0,
        etag: String::new(),
        length: 0,
        checksum: None,
    };
    while reader.depth() > outside {
        let Some(Token::Start(name)) = reader.next_token()? else {
            continue;
        };
        let name = name.to_string();
        let text = reader.text()?;
        match name.as_str() {
            "PartNumber" => part.number = text.trim().parse().map_err(|_| XmlError)?,
            "Size" => part.length = text.trim().parse().map_err(|_| XmlError)?,
            "ETag" => part.etag = etag(text),
            "ChecksumCRC64NVME" => part.checksum = checksum(ChecksumAlgorithm::Crc64Nvme, text),
            "ChecksumSHA256" if part.checksum.is_none() => {
                part.checksum = checksum(ChecksumAlgorithm::Sha256, text);
            }
            _ => {}
        }
    }
    Ok(part)
}

/// Shows each element right below the document's `root`, whatever namespace they are in.
fn children(
    body: &[u8],
    root: &str,
    mut visit: impl FnMut(&str, &mut XmlReader<'_>) -> Result<(), XmlError>,
) -> Result<(), &'static str> {
    let not_xml = |XmlError| "it is not the XML document that it should be";
    let mut reader = XmlReader::new(body).map_err(not_xml)?;
    match reader.next_token().map_err(not_xml)? {
        Some(Token::Start(name)) if name == root => {}
        None => return Err("it is empty"),
        _ => return Err("it is another document"),
    }
    while reader.depth() > 0 {
        match reader.next_token().map_err(not_xml)? {
            Some(Token::Start(name)) => {
                visit(name, &mut reader).map_err(not_xml)?;
                // What was not looked at is passed over.
                while reader.depth() > 1 {
                    reader.next_token().map_err(not_xml)?;
                }
            }
            Some(_) => {}
            None => return Err("it ends too early"),
        }
    }
    Ok(())
}

/// With its quotes, which some servers leave out.
fn etag(text: &str) -> String {
    let text = unescaped(text);
    if text.is_empty() || text.starts_with('"') {
        text
    } else {
        format!("\"{text}\"")
    }
}

fn checksum(algorithm: ChecksumAlgorithm, text: &str) -> Option<Checksum> {
    Checksum::parse(algorithm, text.trim())
}

/// The body of `CompleteMultipartUpload`.
pub(super) fn complete(parts: &[Part]) -> Vec<u8> {
    let mut body =
        String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for part in parts {
        body.push_str("<Part>");
        if let Some(checksum) = &part.checksum {
            let element = checksum.algorithm().element();
            body += &format!("<{element}>{checksum}</{element}>");
        }
        body.push_str("<ETag>");
        escape(&part.etag, &mut body);
        body += &format!("</ETag><PartNumber>{}</PartNumber></Part>", part.number);
    }
    body.push_str("</CompleteMultipartUpload>");
    body.into_bytes()
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn errors_as_several_servers_write_them() {
        let error = ErrorDocument::read(
            b"\n <?xml version=\"1.0\"?>\n<e:Error xmlns:e=\"http://example.com/\"><e:Code> SlowDown </e:Code>\
              <e:Message>a &lt;b&gt; &#38; c</e:Message><Details><Code>Other</Code></Details><RequestId>1</RequestId>",
        );
        // What breaks off still says something.
        let error = error.unwrap();
        assert_eq!(error.code, "SlowDown");
        assert_eq!(error.message, "a <b> & c");
        assert_eq!(error.request_id.as_deref(), Some("1"));
        for other in [
            &b""[..],
            b"<html/>",
            b"<Errors/>",
            b"\xff<Error/>",
            b"{\"Error\": 1}",
        ] {
            assert!(ErrorDocument::read(other).is_none());
        }
    }

    #[test]
    fn uploads_have_a_name() {
        let named = |id: &str| {
            let document = format!(
                "<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>{id}</UploadId>\
                 </InitiateMultipartUploadResult>"
            );
            upload_id(document.as_bytes())
        };
        assert_eq!(named("VXBs.b2Fk_IGlk-&amp;"), Ok("VXBs.b2Fk_IGlk-&".into()));
        assert!(named(" ").is_err());
        assert!(named(&"x".repeat(MAX_TEXT + 1)).is_err());
        assert_eq!(upload_id(b""), Err("it is empty"));
        assert_eq!(upload_id(b"<a/>"), Err("it is another document"));
    }

    #[test]
    fn an_etag_has_its_quotes() {
        for text in ["\"a-1\"", "&quot;a-1&quot;", "a-1", " &#34;a-1&#34;\n"] {
            assert_eq!(etag(text), "\"a-1\"");
        }
        assert_eq!(etag(""), "");
    }

    #[test]
    fn what_ends_an_upload() {
        let part = |number, checksum| Part {
            number,
            etag: "\"<&>\"".into(),
            length: 5,
            checksum,
        };
        let parts = [part(1, Some(Checksum::Crc64Nvme(1))), part(2, None)];
        assert_eq!(
            String::from_utf8(complete(&parts)).unwrap(),
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part>\
             <ChecksumCRC64NVME>AAAAAAAAAAE=</ChecksumCRC64NVME><ETag>&quot;&lt;&amp;&gt;&quot;</ETag>\
             <PartNumber>1</PartNumber></Part><Part><ETag>&quot;&lt;&amp;&gt;&quot;</ETag>\
             <PartNumber>2</PartNumber></Part></CompleteMultipartUpload>"
        );
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic(
            root in "(Error|ListPartsResult|CompleteMultipartUploadResult|InitiateMultipartUploadResult)",
            inside in "(<(/)?(Part|ETag|Code|Size|PartNumber|UploadId|IsTruncated)/?>|[<>&;0-9a-z ]){0,20}",
        ) {
            for document in [format!("<{root}>{inside}</{root}>"), format!("<{root}>{inside}")] {
                let _ = ErrorDocument::read(document.as_bytes());
                let _ = upload_id(document.as_bytes());
                let _ = CompleteResult::read(document.as_bytes());
                let _ = PartsPage::read(document.as_bytes());
            }
        }
    }
}
