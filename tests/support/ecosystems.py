"""Stand-ins for the build systems and headers of ecosystems, as far as the packages of --emit use them."""

from __future__ import annotations

CMAKE = {
    "zephyr": """
        set(CONFIG_PERSON y)
        function(zephyr_include_directories)
          foreach(folder ${ARGN})
            include_directories(${CMAKE_CURRENT_SOURCE_DIR}/${folder})
          endforeach()
          set(folders ${CMAKE_CURRENT_SOURCE_DIR}/../src PARENT_SCOPE)
        endfunction()
        macro(zephyr_library_named name)
          set(library ${name})
          add_library(${name} STATIC)
          target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/../src)
        endmacro()
        macro(zephyr_library_sources)
          target_sources(${library} PRIVATE ${ARGN})
        endmacro()
        macro(zephyr_library_compile_options)
          target_compile_options(${library} PRIVATE ${ARGN})
        endmacro()
        add_subdirectory(person/zephyr)
        add_executable(classify person/samples/classify/src/main.c)
        target_include_directories(classify PRIVATE stub)
        target_link_libraries(classify person)
    """,
    "esp-idf": """
        function(idf_component_register)
          cmake_parse_arguments(PARSE_ARGV 0 given "" "" "SRCS;INCLUDE_DIRS")
          if(TARGET person)
            add_executable(classify ${given_SRCS} ${CMAKE_SOURCE_DIR}/stub/start.c)
            target_link_libraries(classify person)
          else()
            add_library(person STATIC ${given_SRCS})
            target_include_directories(person PUBLIC ${given_INCLUDE_DIRS})
            set(COMPONENT_LIB person PARENT_SCOPE)
          endif()
        endfunction()
        add_subdirectory(person)
        add_subdirectory(person/examples/classify/main)
    """,
    "pico-sdk": """
        macro(pico_sdk_init)
        endmacro()
        macro(pico_enable_stdio_usb)
        endmacro()
        macro(pico_add_extra_outputs)
        endmacro()
        add_library(pico_stdlib INTERFACE)
        target_include_directories(pico_stdlib INTERFACE stub)
        add_subdirectory(person/examples/classify)
    """,
}
STUBS = {
    "stub/zephyr/kernel.h": "",
    "stub/zephyr/sys/printk.h": "#include <stdio.h>\n#define printk printf\n",
    "stub/pico/stdlib.h": "static inline void stdio_init_all(void)\n{\n}\n",
    "stub/start.c": "void app_main(void);\nint main(void)\n{\n    app_main();\n    return 0;\n}\n",
    "stub/external/pico_sdk_import.cmake": "",
    "stub/Arduino.h": (
        "#include <stdint.h>\n#include <string.h>\n#include <stdlib.h>\nunsigned long micros(void);\n"
        "void delay(unsigned long);\nstruct Port {\n  void begin(int);\n  template <class T> void print(T);\n"
        "  template <class T> void println(T);\n};\nextern Port Serial;\n"
    ),
}
