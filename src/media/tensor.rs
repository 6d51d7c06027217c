//! Tensors of analytics metas (GStreamer 1.28), which the bindings do not wrap yet.

use glib::translate::*;
use gst_analytics::{AnalyticsRelationMeta, RelTypes, Tensor, ffi};

/// Adds a row of 32-bit floats to a relation meta; the number of its entry, `None` when the meta is full.
pub(super) fn add(
    meta: &mut gst::MetaRefMut<'_, AnalyticsRelationMeta, gst::meta::Standalone>,
    id: glib::Quark,
    values: &[f32],
) -> Option<u32> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let data = gst::Buffer::from_slice(bytes).into_glib_ptr();
    let mut dims = [values.len()];
    let mut entry = std::mem::MaybeUninit::<ffi::GstAnalyticsTensorMtd>::uninit();
    // SAFETY: the meta is borrowed for writing; when it returns true the function has taken over the buffer, copied the dimensions and
    // filled in the entry; otherwise the buffer is still ours.
    unsafe {
        let is_added = ffi::gst_analytics_relation_meta_add_tensor_mtd_simple(
            meta.as_mut_ptr(),
            id.into_glib(),
            ffi::GST_TENSOR_DATA_TYPE_FLOAT32,
            data,
            ffi::GST_TENSOR_DIM_ORDER_ROW_MAJOR,
            dims.len(),
            dims.as_mut_ptr(),
            entry.as_mut_ptr(),
        );
        if is_added == glib::ffi::GFALSE {
            drop(gst::Buffer::from_glib_full(data));
            return None;
        }
        Some(entry.assume_init().id)
    }
}

/// The tensors that an entry relates to.
pub(super) fn related(meta: &gst::MetaRef<'_, AnalyticsRelationMeta>, entry: u32) -> Vec<Tensor> {
    let mut state = std::ptr::null_mut();
    let mut found = Vec::new();
    let mut mtd = std::mem::MaybeUninit::<ffi::GstAnalyticsMtd>::uninit();
    // SAFETY: the meta outlives the loop; an entry is filled in when the function returns true; its tensor belongs to the meta and is
    // copied.
    unsafe {
        let kind = ffi::gst_analytics_tensor_mtd_get_mtd_type();
        while ffi::gst_analytics_relation_meta_get_direct_related(
            meta.as_mut_ptr(),
            entry,
            RelTypes::RELATE_TO.into_glib(),
            kind,
            &mut state,
            mtd.as_mut_ptr(),
        ) != glib::ffi::GFALSE
        {
            let tensor = ffi::gst_analytics_tensor_mtd_get_tensor(mtd.as_ptr().cast());
            found.push(from_glib_none(tensor));
        }
    }
    found
}
