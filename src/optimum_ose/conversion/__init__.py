"""Any model as ONNX files, without a search: its task, its formats, and what each file costs and changes."""
