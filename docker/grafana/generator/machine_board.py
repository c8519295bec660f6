"""Processors, memory and GPUs."""

from panels import Dashboard, Panel, Row

MEMORY = Row(
    "Processors and memory",
    [
        Panel(
            "Processors at work",
            "Share of all the machine's processors, as Triton sees it.",
            {"machine": "max(nv_cpu_utilization)"},
            unit="percentunit",
            highest=1,
        ),
        Panel(
            "Memory of the machine",
            "Used, and in all, as Triton sees it.",
            {"used": "max(nv_cpu_memory_used_bytes)", "in all": "max(nv_cpu_memory_total_bytes)"},
            unit="bytes",
        ),
        Panel(
            "Memory of each colour",
            "Used by the server and its models' processes, and what the container may use.",
            {
                "used by {{colour}}": "max by (colour) (regard_memory_bytes)",
                "limit of {{colour}}": "max by (colour) (regard_memory_limit_bytes)",
            },
            unit="bytes",
        ),
    ],
)

GPU = Row(
    "GPU: with NVIDIA's alone",
    [
        Panel(
            "GPU at work",
            "Share of the time in which something ran on it. Nothing without an NVIDIA GPU.",
            {"{{gpu_uuid}}": "max by (gpu_uuid) (nv_gpu_utilization)"},
            unit="percentunit",
            highest=1,
        ),
        Panel(
            "GPU memory",
            "Used, and in all. Nothing without an NVIDIA GPU.",
            {
                "used {{gpu_uuid}}": "max by (gpu_uuid) (nv_gpu_memory_used_bytes)",
                "in all {{gpu_uuid}}": "max by (gpu_uuid) (nv_gpu_memory_total_bytes)",
            },
            unit="bytes",
        ),
        Panel(
            "GPU power",
            "Nothing without an NVIDIA GPU.",
            {"{{gpu_uuid}}": "max by (gpu_uuid) (nv_gpu_power_usage)"},
            unit="watt",
        ),
    ],
)

MACHINE = Dashboard("machine", "regard: machine", {}, [MEMORY, GPU])
