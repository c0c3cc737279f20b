from .config import ExportConfig as ExportConfig
from .config import ExportReport as ExportReport
from .config import Parity as Parity
from .exporting import export as export
from .exporting import write_graph as write_graph
from .half import write_half as write_half
from .parity import ParityError as ParityError
