# To be sourced in the checkout's root: the ONNX Runtime that set-up has fetched, or nothing.
fetched_onnxruntime() {
    local file
    for file in .deps/onnxruntime/libonnxruntime.so*; do
        if [ -f "$file" ]; then printf '%s\n' "$PWD/$file"; return; fi
    done
}
