use alloc::vec::Vec;

use super::Value;
use crate::{Error, ErrorKind, Oid, cursor::Cursor};

/// A place in the plane.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "a point has two coordinates")]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
}

/// An endless line: all points with `a`x + `b`y + `c` = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "the equation has three coefficients")]
pub struct Line {
    /// Of x.
    pub a: f64,
    /// Of y.
    pub b: f64,
    /// Alone.
    pub c: f64,
}

/// Points joined by segments.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Path {
    /// Whether the last is joined to the first.
    pub closed: bool,
    /// The points.
    pub points: Vec<Point>,
}

/// A circle.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "a circle has a center and a radius")]
pub struct Circle {
    /// Its center.
    pub center: Point,
    /// Its radius.
    pub radius: f64,
}

pub(super) fn read_point(cursor: &mut Cursor<'_>) -> Result<Point, Error> {
    Ok(Point { x: cursor.f64()?, y: cursor.f64()? })
}

pub(super) fn read_two(cursor: &mut Cursor<'_>) -> Result<[Point; 2], Error> {
    Ok([read_point(cursor)?, read_point(cursor)?])
}

pub(super) fn read_points(cursor: &mut Cursor<'_>) -> Result<Vec<Point>, Error> {
    let count = cursor.length()?;
    let mut points = Vec::new();
    for _ in 0..count {
        points.push(read_point(cursor)?);
    }
    Ok(points)
}

pub(super) fn read_line(cursor: &mut Cursor<'_>) -> Result<Line, Error> {
    Ok(Line { a: cursor.f64()?, b: cursor.f64()?, c: cursor.f64()? })
}

pub(super) fn read_circle(cursor: &mut Cursor<'_>) -> Result<Circle, Error> {
    Ok(Circle { center: read_point(cursor)?, radius: cursor.f64()? })
}

pub(super) fn read_path(cursor: &mut Cursor<'_>, id: Oid) -> Result<Path, Error> {
    let closed = match cursor.u8()? {
        0 => false,
        1 => true,
        _ => return Err(cursor.fail_before(ErrorKind::InvalidValue(id))),
    };
    Ok(Path { closed, points: read_points(cursor)? })
}

fn inside(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// `(1,2),(3,4)`
fn points(text: &str) -> Option<Vec<Point>> {
    inside(text, '(', ')')?.split("),(").map(coordinates).collect()
}

/// `1,2`
fn coordinates(text: &str) -> Option<Point> {
    let (x, y) = text.split_once(',')?;
    Some(Point { x: x.parse().ok()?, y: y.parse().ok()? })
}

fn two(text: &str) -> Option<[Point; 2]> {
    points(text)?.try_into().ok()
}

pub(super) fn parse_point(text: &str) -> Option<Value<'static>> {
    inside(text, '(', ')').and_then(coordinates).map(Value::Point)
}

/// `{1,2,3}`
pub(super) fn parse_line(text: &str) -> Option<Value<'static>> {
    let mut numbers = inside(text, '{', '}')?.split(',').map(|number| number.parse().ok());
    let (a, b, c) = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(Value::Line(Line { a, b, c }))
}

/// `[(1,2),(3,4)]`
pub(super) fn parse_lseg(text: &str) -> Option<Value<'static>> {
    inside(text, '[', ']').and_then(two).map(Value::Lseg)
}

/// `(3,4),(1,2)`
pub(super) fn parse_box(text: &str) -> Option<Value<'static>> {
    two(text).map(Value::Box)
}

/// `((1,2),(3,4))`, and in square brackets an open one.
pub(super) fn parse_path(text: &str) -> Option<Value<'static>> {
    let path = match inside(text, '(', ')') {
        Some(text) => Path { closed: true, points: points(text)? },
        None => Path { closed: false, points: points(inside(text, '[', ']')?)? },
    };
    Some(Value::Path(path))
}

/// `((1,2),(3,4))`
pub(super) fn parse_polygon(text: &str) -> Option<Value<'static>> {
    inside(text, '(', ')').and_then(points).map(Value::Polygon)
}

/// `<(1,2),3>`
pub(super) fn parse_circle(text: &str) -> Option<Value<'static>> {
    let (center, radius) = inside(text, '<', '>')?.rsplit_once(',')?;
    let center = coordinates(inside(center, '(', ')')?)?;
    Some(Value::Circle(Circle { center, radius: radius.parse().ok()? }))
}
