"""HTML of explanations: one page, no scripts, nothing from elsewhere, text escaped."""

import base64
import html
import io

STYLE = """
.az { font: 15px/1.9 system-ui, sans-serif; color: #222; max-width: 60em }
.az h1 { font-size: 1.1em; margin: .5em 0 } .az h2 { font-size: 1em; margin: 1em 0 0 }
.az p { margin: .2em 0 } .az small { color: #666 } .az img { max-width: 100% }
.az .w { border-radius: 3px; padding: 1px 3px; white-space: pre-wrap }
.az .w:hover { outline: 2px solid #333 } .az td { padding: 0 .6em 0 0 }
"""
TOWARDS, AGAINST = (230, 97, 1), (49, 98, 189)  # colours of the two signs


def escape(text):
    """Returns any text as it can stand in HTML."""
    return html.escape(str(text), quote=True)


def page(title, body):
    """Returns a whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head>\n<body>{fragment(title, body)}"
        "</body></html>\n"
    )


def fragment(title, body):
    """Returns a part of a page, as notebooks show it; `body` is HTML already."""
    return (
        f'<style>{STYLE}</style>\n<div class="az"><h1>Method: {escape(title)}</h1>\n'
        f"{body}</div>\n"
    )


def shaded(word, score, share):
    """Returns a word on a ground as dark as its share of the largest score.

    Args:
        word: String.
        score: Float that is shown when the mouse rests on the word.
        share: Float from -1 to 1; below 0 in the colour of what speaks against.
    """
    red, green, blue = TOWARDS if share >= 0 else AGAINST
    ground = f"rgba({red},{green},{blue},{0.65 * abs(float(share)):.3f})"
    return (
        f'<span class="w" title="{float(score):+.4f}" style="background:{ground}">'
        f"{escape(word)}</span>"
    )


def table(rows):
    """Returns a table of plain cells."""
    lines = [
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    ]
    return f"<table>{''.join(lines)}</table>\n"


def picture(figure, lines):
    """Returns a matplotlib figure as an image in the page, and lines under it."""
    scratch = io.BytesIO()
    figure.savefig(scratch, format="png", dpi=110)
    data = base64.b64encode(scratch.getvalue()).decode("ascii")
    alternative = escape("; ".join(lines))
    text = "".join(f"<p>{i}. {escape(line)}</p>\n" for i, line in enumerate(lines, 1))
    return f'<img alt="{alternative}" src="data:image/png;base64,{data}">\n{text}'
