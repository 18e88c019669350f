"""A camera -> the functions of the generated C that take its rows."""

from __future__ import annotations

from mbn2c.ir.graph import Graph
from mbn2c.tasks.camera import FROM_5_BITS, FROM_6_BITS, GRAY_PARTS, Camera
from mbn2c.tasks.protocol import CFunction

_FORMATS = {
    "gray": "a byte a pixel",
    "rgb565": "two bytes a pixel, the low one first: red in the upper 5 bits, green in 6, blue in 5",
    "rgb565be": "two bytes a pixel, the high one first: red in the upper 5 bits, green in 6, blue in 5",
    "yuv422": "luma, u, luma, v for two pixels, as JFIF has them",
}
_DECLARATION = """/* A camera's rows, {frame_width} pixels each: {format_words}.
 * {seen}
 *   {name}_begin_camera(&net, &camera);
 *   {name}_push_camera_row(&net, &camera, row);   (until all {NAME}_CAMERA_ROWS rows are in, the uppermost first)
 *   {name}_finish(&net, output); */
#define {NAME}_CAMERA_ROWS {frame_height}
#define {NAME}_CAMERA_WIDTH {frame_width}
#define {NAME}_CAMERA_ROW_BYTES {frame_row_bytes}
typedef struct {{
    {kept_type} kept[2][{NAME}_INPUT_WIDTH]; /* rows of the frame, in the columns of the input */
    {name}_input_t row[{NAME}_INPUT_ROW_BYTES];
    int16_t next_row, made; /* of the frame, of the input */
    int16_t newest;
}} {name}_camera_t;

int {name}_begin_camera({name}_t *net, {name}_camera_t *camera);
int {name}_push_camera_row({name}_t *net, {name}_camera_t *camera, const uint8_t *frame_row);"""


def camera_functions(graph: Graph, prefix: str, camera: Camera, resize: str) -> list[CFunction]:
    """`begin_camera` and `push_camera_row`; resize: one of `tasks.images.RESIZES`."""
    _, height, width, _ = graph.tensors[graph.inputs[0].tensor].shape
    top, left, seen_rows, seen_columns = camera.window(height, width, resize)
    rows, columns = camera.tables(height, width, resize)
    how = "scaled by blending two rows and two columns" if camera.filter == "bilinear" else "taken by nearest pixels"
    facts = {
        "format": camera.format,
        "frame_height": camera.height,
        "frame_width": camera.width,
        "frame_row_bytes": camera.row_bytes,
        "kept_type": "uint32_t" if camera.format.startswith("rgb565") else "uint16_t",
    }
    words = {
        "name": prefix,
        "NAME": prefix.upper(),
        "format_words": _FORMATS[camera.format],
        "seen": f"The network sees {seen_columns} x {seen_rows} of them from column {left}, row {top} on, {how}:",
    }
    tables = {"rows": rows, "columns": columns, "gray_parts": GRAY_PARTS}
    factors = {"from_5_bits": FROM_5_BITS, "from_6_bits": FROM_6_BITS}
    declaration = _DECLARATION.format(**facts, **words)
    return [CFunction("camera", declaration, "network/camera.c.j2", {**facts, **tables, **factors})]
