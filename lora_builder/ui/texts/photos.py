"""Texts of the step Photos."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "private_local": (
        "Everything runs on this machine. No photo leaves it, and your own files are only read.",
        "一切都在本机运行，照片不会离开本机，您的原文件只会被读取。",
    ),
    "private_host": (
        "Your photos are copied to the computer that runs this app and are sent nowhere else.",
        "您的照片会复制到运行本应用的计算机上，不会发往别处。",
    ),
    "limits": (
        "Up to {mb} MB at a time.",
        "每次合计不超过 {mb} MB。",
    ),
    "upload": ("Photos or ZIP files", "照片或 ZIP 文件"),
    "folder": ("Or a folder or ZIP on this machine", "或本机上的文件夹或 ZIP"),
    "folder_info": (
        "Its full path. It is read where it lies, not copied.",
        "填写完整路径。直接读取，不会复制。",
    ),
    "folder_example": ("/home/ann/photos", "/home/ann/photos"),
    "folder_open": ("Open the folder", "打开文件夹"),
    "no_photos": ("No photos were chosen.", "尚未选择照片。"),
    "no_photos_remedy": ("Add photos or a ZIP first.", "请先添加照片或 ZIP。"),
    "no_folder": ("There is no folder or ZIP at that path.", "该路径下没有文件夹或 ZIP。"),
    "no_folder_remedy": ("Check the path; it must be on this machine.", "请检查路径，它必须在本机上。"),
    "reads_folder": ("This project reads a folder of yours.", "此项目直接读取您的文件夹。"),
    "reads_folder_remedy": (
        "Put the photos into that folder and run again, or make a new project.",
        "请把照片放入该文件夹后重新运行，或新建项目。",
    ),
    "too_much": ("These files are larger than {mb} MB together.", "这些文件合计超过 {mb} MB。"),
    "too_much_remedy": ("Choose fewer at a time.", "请分批选择。"),
    "upload_gone": ("An uploaded file is no longer there.", "上传的文件已不存在。"),
    "upload_gone_remedy": ("Add the photos again.", "请重新添加照片。"),
}
