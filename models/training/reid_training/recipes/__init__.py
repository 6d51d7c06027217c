"""One module a task; each has `run(config, data, out_dir, device, resume, …)`."""
