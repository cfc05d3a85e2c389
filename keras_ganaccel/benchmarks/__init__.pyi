from .contrasts import markdown as markdown
from .contrasts import plot as plot
from .contrasts import summarize as summarize
from .protocols import PROTOCOLS as PROTOCOLS
