// The theme is set before anything is painted, or a dark page would begin with a flash.
try {
  const theme = localStorage.getItem("vxgw-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* storage is switched off: the system's theme holds */ }
