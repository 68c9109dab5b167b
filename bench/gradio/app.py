"""An app on Gradio with one value for each user, an unload hook and uploads: the counterpart of ours.ts."""

import asyncio
import concurrent.futures
import os
import resource
import secrets
import socket
import time
import tracemalloc
from contextlib import asynccontextmanager

import gradio as gr
from control import answering, milliseconds
from gradio.processing_utils import save_bytes_to_cache
from gradio.route_utils import delete_files_created_by_app

unloaded = []
half_at = 0.0


def unload(request: gr.Request):
    unloaded.append((request.session_hash, milliseconds()))


def deleted(_value):
    pass


with gr.Blocks() as demo:
    value = gr.State({"count": 0}, time_to_live=3600, delete_callback=deleted)
    button = gr.Button("Count")
    button.click(lambda value: {"count": value["count"] + 1}, value, value)
    demo.unload(unload)

server_loop = concurrent.futures.Future()


@asynccontextmanager
async def lifespan(_app):
    server_loop.set_result(asyncio.get_running_loop())
    yield


def begin(count):
    async def on_loop():
        # As `call_process_api` does it with the answer of a function (gradio/route_utils.py, gradio/blocks.py).
        for index in range(count):
            session = demo.app.state_holder[secrets.token_hex(6)]
            session[value._id] = {"count": index}

    # Where the server does it: another thread would change what its own task is looking through.
    asyncio.run_coroutine_threadsafe(on_loop(), server_loop.result()).result()
    return len(demo.app.state_holder.session_data)


def trace():
    tracemalloc.start()


def unloads():
    """How many hooks ran, for how many sessions, and when the last one did."""
    return {
        "hooks": len(unloaded),
        "sessions": len({name for name, _ in unloaded}),
        "last": max((at for _, at in unloaded), default=0),
    }


def save(count):
    """Half of them well before the rest: Gradio goes by the ctime, which can't be set."""
    global half_at
    directory = os.environ["GRADIO_TEMP_DIR"]
    for index in range(count):
        if index == count // 2:
            half_at = time.time()
            # Gradio looks at the time anew for each file: none of the rest may come of age while it sweeps.
            time.sleep(2 + count / 10_000)
        content = str(index).encode().ljust(1024)
        demo.upload_file_set.add(
            save_bytes_to_cache(content, f"{index}.bin", directory)
        )


def sweep():
    """In milliseconds."""
    start = time.perf_counter()
    delete_files_created_by_app(demo, time.time() - half_at)
    return (time.perf_counter() - start) * 1000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start():
    # Node.js raises it by itself.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port = free_port()
    demo.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        quiet=True,
        ssr_mode=False,
        prevent_thread_lock=True,
        state_session_capacity=10_000_000,
        app_kwargs={"lifespan": lifespan},
    )
    answers = [begin, trace, unloads, save, sweep]
    return {"port": port}, {answer.__name__: answer for answer in answers}


answering(start)
