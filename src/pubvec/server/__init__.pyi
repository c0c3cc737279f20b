from .app import KEY_VARIABLE as KEY_VARIABLE
from .app import Door as Door
from .app import serve as serve
from .limits import LimitsConfig as LimitsConfig
from .mcp import serve_http as serve_http
from .mcp import serve_stdio as serve_stdio
