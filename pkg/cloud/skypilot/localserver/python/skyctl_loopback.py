"""Keeps web pages from using the SkyPilot API server that skyctl runs on this machine.

A plugin of the SkyPilot API server, which has no authentication on loopback and answers pages of any origin (its CORS rules
allow all). With this plugin it answers only under a loopback name, which excludes pages whose own name resolves to this
machine (DNS rebinding), and it answers no requests from pages of other origins.
"""
from sky.server import plugins

_NAMES = ('localhost', '127.0.0.1', '[::1]')


def refusal(host, origin):
    """The status and the reason for rejecting a request, or None to accept it. The port may be that of a tunnel."""
    name = host.lower()
    if ':' in name and not name.endswith(']'):
        name = name.rsplit(':', 1)[0]
    if name not in _NAMES:
        return 421, 'This server only answers under the names localhost, 127.0.0.1 and [::1].'
    if origin is not None and origin.lower() != 'http://' + host.lower():
        return 403, 'This server takes no requests from pages of other origins.'
    return None


class _LoopbackOnly:
    """The outermost layer, so that a rejected request reaches nothing else."""

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        if scope['type'] in ('http', 'websocket'):
            headers = {k.decode('latin-1').lower(): v.decode('latin-1') for k, v in scope['headers']}
            refused = refusal(headers.get('host', ''), headers.get('origin'))
            if refused is not None:
                await _refuse(scope, send, *refused)
                return
        await self._app(scope, receive, send)


async def _refuse(scope, send, status, sentence):
    if scope['type'] == 'websocket':
        await send({'type': 'websocket.close', 'code': 1008, 'reason': sentence})
        return
    body = sentence.encode() + b'\n'
    await send({
        'type': 'http.response.start',
        'status': status,
        'headers': [(b'content-type', b'text/plain; charset=utf-8'), (b'content-length', str(len(body)).encode())],
    })
    await send({'type': 'http.response.body', 'body': body})


class Plugin(plugins.BasePlugin):
    """Adds the layer to the server's application."""

    name = 'skyctl_loopback'

    def install(self, extension_context):
        if extension_context.app is not None:
            extension_context.app.add_middleware(_LoopbackOnly)
