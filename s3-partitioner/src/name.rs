use std::fmt::Write as _;

use crate::{Error, ErrorKind, OpenFile, Record};

/// Builds object keys as Confluent's sink does:
/// `<topics.dir>/<topic>/<encoded partition>/<topic>+<partition>+<start offset><extension>`.
///
/// Nothing is escaped: a `/` in a topic directory or an encoded partition makes a deeper path.
///
/// ```
/// use s3_partitioner::{ObjectNamer, Record};
///
/// let mut key = String::new();
/// ObjectNamer::new("topics").object("partition=0", &Record::new("orders", 0, 800), ".avro", &mut key);
/// assert_eq!(key, "topics/orders/partition=0/orders+0+0000000800.avro");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectNamer {
    topics_dir: String,
    directory_delimiter: String,
    file_delimiter: String,
    pad_width: u16,
}

impl ObjectNamer {
    /// Names below this directory (`topics.dir`). A blank one is left out with its delimiter.
    #[must_use]
    pub fn new(topics_dir: &str) -> Self {
        Self {
            topics_dir: topics_dir.to_owned(),
            directory_delimiter: "/".to_owned(),
            file_delimiter: "+".to_owned(),
            pad_width: 10,
        }
    }

    /// Joins directories with this instead of `/` (`directory.delim`).
    #[must_use]
    pub fn with_directory_delimiter(mut self, delimiter: &str) -> Self {
        delimiter.clone_into(&mut self.directory_delimiter);
        self
    }

    /// Joins the parts of the file name with this instead of `+` (`file.delim`).
    #[must_use]
    pub fn with_file_delimiter(mut self, delimiter: &str) -> Self {
        delimiter.clone_into(&mut self.file_delimiter);
        self
    }

    /// Pads the offset with zeros to this many digits instead of 10
    /// (`filename.offset.zero.pad.width`). A longer offset is never cut.
    ///
    /// # Errors
    /// [`ErrorKind::ZeroPadWidth`] for 0, which makes Java's format string illegal.
    pub fn with_pad_width(mut self, width: u16) -> Result<Self, Error> {
        if width == 0 {
            return Err(Error::new(ErrorKind::ZeroPadWidth));
        }
        self.pad_width = width;
        Ok(self)
    }

    /// Appends the key of the object that starts with the record `first`.
    pub fn object(&self, encoded: &str, first: &Record<'_>, extension: &str, out: &mut String) {
        self.key(first.topic, first.partition, encoded, first.offset, extension, out);
    }

    /// Appends the key of an open file of a topic partition.
    pub fn file(
        &self,
        topic: &str,
        partition: i32,
        file: &OpenFile,
        extension: &str,
        out: &mut String,
    ) {
        self.key(topic, partition, file.encoded(), file.start_offset(), extension, out);
    }

    /// The most bytes of a key besides the encoded partition and the topic, which comes twice.
    pub(crate) fn fixed_bytes(&self, extension: &str) -> usize {
        const LONGEST_PARTITION: usize = "-2147483648".len();
        const LONGEST_OFFSET: usize = "-9223372036854775808".len();
        // Objects with the keys or headers of records have more in their names.
        const KIND: usize = ".headers".len();
        let directories = if self.topics_dir.trim().is_empty() { 2 } else { 3 };
        self.topics_dir.len()
            + directories * self.directory_delimiter.len()
            + 2 * self.file_delimiter.len()
            + LONGEST_PARTITION
            + LONGEST_OFFSET.max(usize::from(self.pad_width))
            + KIND
            + extension.len()
    }

    fn key(
        &self,
        topic: &str,
        partition: i32,
        encoded: &str,
        offset: i64,
        extension: &str,
        out: &mut String,
    ) {
        let d = &self.directory_delimiter;
        let f = &self.file_delimiter;
        if !self.topics_dir.trim().is_empty() {
            out.push_str(&self.topics_dir);
            out.push_str(d);
        }
        let width = usize::from(self.pad_width);
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{topic}{d}{encoded}{d}{topic}{f}{partition}{f}{offset:0width$}{extension}"
        );
    }
}

impl Default for ObjectNamer {
    /// Names below `topics`, as the connector does when told nothing.
    fn default() -> Self {
        Self::new("topics")
    }
}
