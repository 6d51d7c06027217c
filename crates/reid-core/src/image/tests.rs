//! Views of every format, and layouts that are none.

use super::*;

#[test]
fn a_view_needs_every_row_but_not_the_last_padding() {
    let data = vec![0; 16 + 10];
    let planes = [Plane {
        data: &data,
        stride: 16,
    }];
    assert!(ImageView::new(PixelFormat::Gray8, 10, 2, &planes, Colorimetry::default()).is_ok());
    assert!(ImageView::new(PixelFormat::Gray8, 11, 2, &planes, Colorimetry::default()).is_err());
    assert!(ImageView::new(PixelFormat::Gray8, 17, 1, &planes, Colorimetry::default()).is_err());
    assert!(ImageView::new(PixelFormat::Gray8, 0, 2, &planes, Colorimetry::default()).is_err());
    assert!(ImageView::new(PixelFormat::Nv12, 10, 2, &planes, Colorimetry::default()).is_err());
}

#[test]
fn every_channel_lies_within_its_plane() {
    for format in PixelFormat::ALL {
        for width in 1..9 {
            for channel in format.channels().into_iter().chain(format.alpha()) {
                let (w, _, bytes) = format.plane_layout(channel.plane, width, 3);
                let last = channel.offset + (width.div_ceil(channel.wide) - 1) * channel.step;
                assert!(
                    (last + 1) * format.depth().bytes() <= w * bytes,
                    "{format:?} {channel:?} {width}"
                );
            }
        }
    }
}

#[test]
fn codes_of_eight_bits_become_those_of_more() {
    let ten = PixelFormat::P010.depth();
    let cases = [
        (235, false, false, 940),
        (255, true, false, 1023),
        (0, true, true, 0),
        (128, true, true, 512),
        (255, true, true, 1021),
        (240, false, true, 960),
    ];
    for (code, is_full, is_difference, expected) in cases {
        assert_eq!(
            ten.expanded(code, is_full, is_difference),
            expected,
            "{code}"
        );
    }
    assert_eq!(
        PixelFormat::Gray16.depth().expanded(255, true, false),
        u16::MAX
    );
    assert_eq!(PixelFormat::I420.depth().expanded(7, true, true), 7);
}

#[test]
fn odd_sizes_round_chroma_up() {
    assert_eq!(PixelFormat::I420.plane_layout(1, 5, 3), (3, 2, 1));
    assert_eq!(PixelFormat::Nv12.plane_layout(1, 5, 3), (3, 2, 2));
    assert_eq!(PixelFormat::Yuy2.plane_layout(0, 5, 3), (6, 3, 2));
    assert_eq!(PixelFormat::P010.plane_layout(1, 5, 3), (3, 2, 4));
    assert_eq!(PixelFormat::Y41b.plane_layout(2, 5, 3), (2, 3, 1));
    assert_eq!(PixelFormat::Y210.plane_layout(0, 5, 3), (6, 3, 4));
}
