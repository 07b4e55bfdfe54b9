"""How the tests read labels: zxing-cpp, on PNGs that Pillow opened and PDFs that PDFium drew."""

import io
import string
from pathlib import Path

import pypdfium2
import reportlab
import zxingcpp
from hypothesis import strategies as st
from PIL import Image

FORMATS = {
    "qr": zxingcpp.BarcodeFormat.QRCode,
    "datamatrix": zxingcpp.BarcodeFormat.DataMatrix,
}
VERA = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"  # comes with reportlab
_ENDS = string.ascii_lowercase + string.digits


@st.composite
def registration_ids(draw: st.DrawFn) -> str:
    """What DPS takes: 1 to 128 of a-z 0-9 - . _ : with a letter or digit at both ends."""
    first = draw(st.sampled_from(_ENDS))
    rest = draw(st.text(_ENDS + "-._:", max_size=126))
    return first + rest + draw(st.sampled_from(_ENDS + "-"))


def codes_on(image: Image.Image, kind: str) -> list[str]:
    """What the codes of a kind on the image say."""
    found = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormats(FORMATS[kind]))
    return [code.text for code in found]


def codes_in_png(data: bytes, kind: str) -> list[str]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return codes_on(image, kind)


def pages(data: bytes, dots_per_inch: int = 300) -> list[Image.Image]:
    """The pages of a PDF as a printer of that density would get them."""
    document = pypdfium2.PdfDocument(data)
    try:
        return [page.render(scale=dots_per_inch / 72).to_pil().convert("L") for page in document]
    finally:
        document.close()


def text_of(data: bytes) -> list[str]:
    """The text on each page of a PDF, a hyphen at a line's end as one."""
    document = pypdfium2.PdfDocument(data)
    try:
        return [
            page.get_textpage().get_text_range().replace("\ufffe", "-\r\n") for page in document
        ]
    finally:
        document.close()
