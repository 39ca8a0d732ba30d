//! Just enough JSON to read one object of texts and skip the rest.

/// Nesting beyond this is refused, so that a hostile answer cannot exhaust the stack.
const MAX_DEPTH: usize = 32;

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// Fails with the byte where it went wrong.
type Step<T> = Result<T, usize>;

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Reads an object and nothing after it, giving each key with its value if that is a text.
    pub(crate) fn object(&mut self, mut member: impl FnMut(&str, Option<String>)) -> Step<()> {
        self.space();
        if self.peek() != Some(b'{') {
            return Err(self.position);
        }
        self.members(0, &mut member)?;
        self.space();
        if self.position == self.bytes.len() { Ok(()) } else { Err(self.position) }
    }

    fn members(&mut self, depth: usize, member: &mut dyn FnMut(&str, Option<String>)) -> Step<()> {
        self.expect(b'{')?;
        self.space();
        if self.skip(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            let key = self.text()?;
            self.space();
            self.expect(b':')?;
            self.space();
            if self.peek() == Some(b'"') {
                let text = self.text()?;
                member(&key, Some(text));
            } else {
                self.value(depth)?;
                member(&key, None);
            }
            self.space();
            if self.skip(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn value(&mut self, depth: usize) -> Step<()> {
        if depth >= MAX_DEPTH {
            return Err(self.position);
        }
        match self.peek() {
            Some(b'"') => self.text().map(drop),
            Some(b'{') => self.members(depth + 1, &mut |_, _| {}),
            Some(b'[') => self.elements(depth + 1),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn elements(&mut self, depth: usize) -> Step<()> {
        self.expect(b'[')?;
        self.space();
        if self.skip(b']') {
            return Ok(());
        }
        loop {
            self.space();
            self.value(depth)?;
            self.space();
            if self.skip(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn text(&mut self) -> Step<String> {
        self.expect(b'"')?;
        let mut out = Vec::new();
        loop {
            let start = self.position;
            match self.next()? {
                b'"' => return String::from_utf8(out).map_err(|_| start),
                b'\\' => {
                    let c = self.escaped().map_err(|_| start)?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                control if control < b' ' => return Err(start),
                byte => out.push(byte),
            }
        }
    }

    fn escaped(&mut self) -> Step<char> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    let second = self.unit()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(self.position);
                    }
                    0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).ok_or(self.position)?
            }
            _ => return Err(self.position),
        })
    }

    fn unit(&mut self) -> Step<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let position = self.position;
            let digit = char::from(self.next()?).to_digit(16).ok_or(position)?;
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }

    /// Only finds where the number ends: nobody asks for its value.
    fn number(&mut self) -> Step<()> {
        let start = self.position;
        let is_part = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
        while self.peek().is_some_and(is_part) {
            self.position += 1;
        }
        if self.position == start { Err(start) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Step<()> {
        word.iter().try_for_each(|&byte| self.expect(byte))
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn next(&mut self) -> Step<u8> {
        let byte = self.peek().ok_or(self.position)?;
        self.position += 1;
        Ok(byte)
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Step<()> {
        if self.skip(byte) { Ok(()) } else { Err(self.position) }
    }
}
