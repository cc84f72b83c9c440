"""Texts of pushing to the Hub, in the step Export."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "push_title": ("Push to the Hugging Face Hub", "推送到 Hugging Face Hub"),
    "push_about": (
        "The pictures with their captions go to a dataset of yours on huggingface.co. Nobody else sees it "
        "unless you say so.",
        "图片和描述会上传到您在 huggingface.co 上的数据集。除非您选择公开，否则他人无法查看。",
    ),
    "push_sign_in": ("Sign in with Hugging Face", "使用 Hugging Face 登录"),
    "push_by_account": ("With your account {name}.", "使用您的账号 {name}。"),
    "push_by_machine": ("With this machine's HF_TOKEN.", "使用本机的 HF_TOKEN。"),
    "push_token": ("Access token that may write", "具有写入权限的访问令牌"),
    "push_token_info": (
        "From huggingface.co/settings/tokens. It is used for this push and then forgotten.",
        "来自 huggingface.co/settings/tokens。仅用于本次推送，随后即被遗忘。",
    ),
    "push_repository": ("Dataset", "数据集"),
    "push_repository_info": ("your name/a name, as anna/portraits", "用户名/名称，如 anna/portraits"),
    "push_public": ("Let everybody see it", "公开给所有人"),
    "push_licence": ("Licence", "许可证"),
    "push_licence_info": ("as the Hub names it: cc-by-4.0", "按 Hub 的名称填写：cc-by-4.0"),
    "push_consent": ("Who agreed to the publication, and how", "谁同意公开，以何种方式同意"),
    "push_start": ("Push", "推送"),
    "push_stop": ("Stop", "停止"),
    "push_running": ("{done} of {total} files have arrived.", "已上传 {done} / {total} 个文件。"),
    "push_waiting": ("Getting ready …", "正在准备……"),
    "push_stopped": (
        "Stopped. Nothing is visible; what arrived need not be sent again.",
        "已停止。尚无内容可见，已上传的部分无需重传。",
    ),
    "push_done_private": ("It is there, and only you can see it: ", "已上传，仅您可见："),
    "push_done_public": ("It is there for everybody: ", "已上传并公开："),
}
