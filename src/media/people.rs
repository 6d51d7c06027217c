//! `PeopleMeta`: the typed meta that carries people between the elements of this plugin.
//!
//! One per buffer. It is cloned when the buffer is copied. Its boxes follow a picture that is scaled or, where GStreamer reports the
//! change (1.28 and newer), cropped, rotated or mirrored; otherwise it is dropped, because the boxes would be wrong. With GStreamer 1.24
//! and newer it is also sent to other processes (`unixfdsink`).

use std::{
    mem::ManuallyDrop,
    ptr,
    sync::{Arc, LazyLock},
};

use glib::translate::{IntoGlib, from_glib};
use gst::prelude::*;

use super::transform::Mapping;
#[cfg(feature = "v1_24")]
use super::{CAT, wire};
use crate::core::person::Person;

/// Width and height in px of the frame that boxes refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    /// px
    pub width: u32,
    /// px
    pub height: u32,
}

impl From<&gst_video::VideoInfo> for FrameSize {
    fn from(info: &gst_video::VideoInfo) -> Self {
        Self {
            width: info.width(),
            height: info.height(),
        }
    }
}

/// Whose view a picture is, as `reidtrack` knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewpoint {
    /// The camera's name.
    pub camera: Option<Arc<str>>,
    /// When the frame is, ns on the clock of the gallery, which [`crate::core::person::Seen::time_ns`] counts on, too.
    pub gallery_ns: Option<u64>,
}

/// What is known of the people in a buffer's picture.
#[repr(transparent)]
pub struct PeopleMeta(RawMeta);

/// The memory that GStreamer allocates: its own header first.
#[repr(C)]
pub struct RawMeta {
    parent: gst::ffi::GstMeta,
    frame: FrameSize,
    people: ManuallyDrop<Vec<Person>>,
    viewpoint: ManuallyDrop<Viewpoint>,
}

// SAFETY: the content is plain owned data (Vec, Arc) without interior mutability; GStreamer hands out mutable access to
// a buffer's metas only while the buffer is writable.
unsafe impl Send for PeopleMeta {}
// SAFETY: as above.
unsafe impl Sync for PeopleMeta {}

// SAFETY: `RawMeta` is `repr(C)` with a `GstMeta` first, and is registered under the returned type alone.
unsafe impl MetaAPI for PeopleMeta {
    type GstType = RawMeta;

    fn meta_api() -> glib::Type {
        *API
    }
}

impl std::fmt::Debug for PeopleMeta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeopleMeta")
            .field("frame", &self.0.frame)
            .field("people", &self.people())
            .field("viewpoint", self.viewpoint())
            .finish()
    }
}

impl PeopleMeta {
    /// Attaches `people`, whose boxes are px of a frame of `frame` size, in place of an earlier list. The viewpoint stays.
    pub fn set(buffer: &mut gst::BufferRef, frame: FrameSize, people: Vec<Person>) {
        match buffer.meta_mut::<Self>() {
            Some(mut meta) => {
                meta.0.frame = frame;
                *meta.0.people = people;
            }
            None => Self::add(buffer, frame, people),
        }
    }

    fn add(buffer: &mut gst::BufferRef, frame: FrameSize, people: Vec<Person>) {
        // SAFETY: the buffer is writable (we hold it mutably) and the info is ours, so that the returned memory is a
        // `RawMeta` that `init` has made valid.
        unsafe {
            let raw = gst::ffi::gst_buffer_add_meta(buffer.as_mut_ptr(), INFO.0, ptr::null_mut())
                .cast::<RawMeta>();
            (*raw).frame = frame;
            *(*raw).people = people;
        }
    }

    /// The people, in no particular order.
    pub fn people(&self) -> &[Person] {
        &self.0.people
    }

    /// The people, to be completed by the next element. Adding and removing is allowed.
    pub fn people_mut(&mut self) -> &mut Vec<Person> {
        &mut self.0.people
    }

    /// Whose view the picture is.
    pub fn viewpoint(&self) -> &Viewpoint {
        &self.0.viewpoint
    }

    /// Whose view the picture is, to be completed.
    pub fn viewpoint_mut(&mut self) -> &mut Viewpoint {
        &mut self.0.viewpoint
    }

    /// The size of the frame that the boxes refer to.
    pub fn frame_size(&self) -> FrameSize {
        self.0.frame
    }
}

/// The API type, with the tags of GStreamer's own region-of-interest meta: elements that change none of these keep it.
static API: LazyLock<glib::Type> = LazyLock::new(|| {
    let tags = [
        gst_video::ffi::GST_META_TAG_VIDEO_STR
            .as_ptr()
            .cast::<std::ffi::c_char>(),
        gst_video::ffi::GST_META_TAG_VIDEO_ORIENTATION_STR
            .as_ptr()
            .cast(),
        gst_video::ffi::GST_META_TAG_VIDEO_SIZE_STR.as_ptr().cast(),
        ptr::null(),
    ];
    // SAFETY: the strings are NUL-terminated and the list ends with NULL.
    unsafe {
        from_glib(gst::ffi::gst_meta_api_type_register(
            c"GstReidPeopleMetaAPI".as_ptr(),
            tags.as_ptr().cast_mut(),
        ))
    }
});

struct Info(*const gst::ffi::GstMetaInfo);

// SAFETY: GStreamer never changes or frees a registered info.
unsafe impl Send for Info {}
// SAFETY: as above.
unsafe impl Sync for Info {}

const IMPLEMENTATION: &std::ffi::CStr = c"GstReidPeopleMeta";

static INFO: LazyLock<Info> = LazyLock::new(|| {
    // SAFETY: the functions below are made for `RawMeta`, whose size is given.
    #[cfg(not(feature = "v1_24"))]
    unsafe {
        Info(gst::ffi::gst_meta_register(
            API.into_glib(),
            IMPLEMENTATION.as_ptr(),
            size_of::<RawMeta>(),
            Some(init),
            Some(free),
            Some(transform),
        ))
    }
    // SAFETY: as above; the info is ours until it is registered.
    #[cfg(feature = "v1_24")]
    unsafe {
        let info = gst::ffi::gst_meta_info_new(
            API.into_glib(),
            IMPLEMENTATION.as_ptr(),
            size_of::<RawMeta>(),
        );
        (*info).init_func = Some(init);
        (*info).free_func = Some(free);
        (*info).transform_func = Some(transform);
        (*info).serialize_func = Some(serialise);
        (*info).deserialize_func = Some(deserialise);
        Info(gst::ffi::gst_meta_info_register(info))
    }
});

/// Makes the meta known to GStreamer, so that lists from other processes are understood before the first of our own is made.
pub(crate) fn register() {
    LazyLock::force(&INFO);
}

/// Appends the list as bytes, for another process.
#[cfg(feature = "v1_24")]
unsafe extern "C" fn serialise(
    meta: *const gst::ffi::GstMeta,
    data: *mut gst::ffi::GstByteArrayInterface,
    version: *mut u8,
) -> glib::ffi::gboolean {
    // SAFETY: `meta` is ours; `data` is a growing array, whose `resize` makes `data` point to as many bytes as asked for.
    unsafe {
        let raw = &*meta.cast::<RawMeta>();
        let bytes = wire::bytes(raw.frame, &raw.people, &raw.viewpoint);
        let array = &mut *data;
        let (Some(bytes), Some(resize)) = (bytes, array.resize) else {
            return glib::ffi::GFALSE;
        };
        let begin = array.len;
        let end = begin + bytes.len();
        if resize(array, end) == glib::ffi::GFALSE {
            return glib::ffi::GFALSE;
        }
        array.len = end;
        ptr::copy_nonoverlapping(bytes.as_ptr(), array.data.add(begin), bytes.len());
        *version = wire::VERSION;
    }
    glib::ffi::GTRUE
}

/// Attaches a list that another process has sent. Null when it cannot be understood.
#[cfg(feature = "v1_24")]
unsafe extern "C" fn deserialise(
    _info: *const gst::ffi::GstMetaInfo,
    buffer: *mut gst::ffi::GstBuffer,
    data: *const u8,
    size: usize,
    version: u8,
) -> *mut gst::ffi::GstMeta {
    // SAFETY: the buffer is writable by contract and the bytes are there for as long as this takes.
    unsafe {
        let bytes = std::slice::from_raw_parts(data, size);
        let Some(list) = wire::read(version, bytes) else {
            gst::warning!(
                CAT,
                "a list of people from another process cannot be read: both need the same version of the plugin"
            );
            return ptr::null_mut();
        };
        let buffer = gst::BufferRef::from_mut_ptr(buffer);
        PeopleMeta::set(buffer, list.frame, list.people);
        match buffer.meta_mut::<PeopleMeta>() {
            Some(mut meta) => {
                *meta.viewpoint_mut() = list.viewpoint;
                ptr::from_mut(&mut meta.0).cast()
            }
            None => ptr::null_mut(),
        }
    }
}

/// Makes fresh memory valid.
unsafe extern "C" fn init(
    meta: *mut gst::ffi::GstMeta,
    _params: glib::ffi::gpointer,
    _buffer: *mut gst::ffi::GstBuffer,
) -> glib::ffi::gboolean {
    let raw = meta.cast::<RawMeta>();
    // SAFETY: GStreamer gives memory of `RawMeta`'s size with only `parent` initialised.
    unsafe {
        ptr::addr_of_mut!((*raw).frame).write(FrameSize {
            width: 0,
            height: 0,
        });
        ptr::addr_of_mut!((*raw).people).write(ManuallyDrop::new(Vec::new()));
        ptr::addr_of_mut!((*raw).viewpoint).write(ManuallyDrop::new(Viewpoint::default()));
    }
    glib::ffi::GTRUE
}

/// Drops what the meta owns; GStreamer frees the memory.
unsafe extern "C" fn free(meta: *mut gst::ffi::GstMeta, _buffer: *mut gst::ffi::GstBuffer) {
    // SAFETY: called once, at the end of the meta's life.
    unsafe {
        let raw = &mut *meta.cast::<RawMeta>();
        ManuallyDrop::drop(&mut raw.people);
        ManuallyDrop::drop(&mut raw.viewpoint);
    }
}

/// Copies the list to another buffer, boxes moved as the picture was; who is no longer in it is left out. `FALSE` leaves the list
/// behind.
unsafe extern "C" fn transform(
    dest: *mut gst::ffi::GstBuffer,
    meta: *mut gst::ffi::GstMeta,
    _source: *mut gst::ffi::GstBuffer,
    kind: glib::ffi::GQuark,
    data: glib::ffi::gpointer,
) -> glib::ffi::gboolean {
    // SAFETY: `dest` is writable by contract, `meta` is ours, and `data` is what `kind` says.
    unsafe {
        let raw = &*meta.cast::<RawMeta>();
        let Some(mapping) = Mapping::read(raw.frame, kind, data) else {
            return glib::ffi::GFALSE;
        };
        let mut people = Vec::clone(&raw.people);
        if !mapping.is_identity() {
            people.retain_mut(|person| match mapping.apply(&person.rect) {
                Some(rect) => {
                    person.rect = rect;
                    true
                }
                None => false,
            });
        }
        let dest = gst::BufferRef::from_mut_ptr(dest);
        PeopleMeta::set(dest, mapping.frame, people);
        if let Some(mut copy) = dest.meta_mut::<PeopleMeta>() {
            *copy.viewpoint_mut() = Viewpoint::clone(&raw.viewpoint);
        }
    }
    glib::ffi::GTRUE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::geometry::Rect;
    use glib::translate::ToGlibPtr;

    const FRAME: FrameSize = FrameSize {
        width: 100,
        height: 50,
    };

    fn person() -> Person {
        Person::detected(Rect::new(10.0, 10.0, 20.0, 30.0), 0.5, "person".into(), 0)
    }

    fn info(width: u32, height: u32) -> gst_video::VideoInfo {
        gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
            .build()
            .unwrap()
    }

    /// What `videoconvertscale` does with each meta.
    fn scale(
        from: &gst::BufferRef,
        to: &mut gst::BufferRef,
        in_info: &gst_video::VideoInfo,
        out_info: &gst_video::VideoInfo,
    ) -> bool {
        let meta = from.meta::<PeopleMeta>().unwrap();
        let mut data = gst_video::ffi::GstVideoMetaTransform {
            in_info: in_info.to_glib_none().0.cast_mut(),
            out_info: out_info.to_glib_none().0.cast_mut(),
        };
        // SAFETY: as GStreamer calls it.
        unsafe {
            transform(
                to.as_mut_ptr(),
                ptr::from_ref(&meta.0).cast_mut().cast(),
                from.as_ptr().cast_mut(),
                gst_video::ffi::gst_video_meta_transform_scale_get_quark(),
                ptr::from_mut(&mut data).cast(),
            ) != glib::ffi::GFALSE
        }
    }

    #[test]
    fn a_second_list_replaces_the_first_and_copies_are_independent() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        PeopleMeta::set(buffer.make_mut(), FRAME, vec![person(), person()]);
        PeopleMeta::set(buffer.make_mut(), FRAME, vec![person()]);
        assert_eq!(buffer.iter_meta::<PeopleMeta>().count(), 1);
        let mut copy = buffer.copy();
        copy.make_mut()
            .meta_mut::<PeopleMeta>()
            .unwrap()
            .people_mut()
            .clear();
        assert_eq!(buffer.meta::<PeopleMeta>().unwrap().people(), [person()]);
        assert_eq!(copy.meta::<PeopleMeta>().unwrap().people(), []);
    }

    #[test]
    fn boxes_follow_a_scaler_and_are_left_behind_when_they_do_not_fit() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        PeopleMeta::set(buffer.make_mut(), FRAME, vec![person()]);
        let door = Viewpoint {
            camera: Some("door".into()),
            gallery_ns: Some(7),
        };
        *buffer
            .make_mut()
            .meta_mut::<PeopleMeta>()
            .unwrap()
            .viewpoint_mut() = door.clone();
        let mut scaled = gst::Buffer::new();
        assert!(scale(
            &buffer,
            scaled.make_mut(),
            &info(100, 50),
            &info(50, 100)
        ));
        let meta = scaled.meta::<PeopleMeta>().unwrap();
        assert_eq!(meta.people()[0].rect, Rect::new(5.0, 20.0, 10.0, 60.0));
        assert_eq!(*meta.viewpoint(), door);
        assert_eq!(
            meta.frame_size(),
            FrameSize {
                width: 50,
                height: 100
            }
        );
        let mut other = gst::Buffer::new();
        assert!(!scale(
            &buffer,
            other.make_mut(),
            &info(80, 50),
            &info(50, 100)
        ));
        assert!(other.meta::<PeopleMeta>().is_none());
    }
}
